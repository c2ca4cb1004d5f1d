#!/usr/bin/env bash
# Editors of the terminal for the tests: Debian's own, and from Debian testing, unpacked under .editors/testing/, what Debian 12 lacks:
# Neovim 0.12 (native inline completion), lsp-mode 10 for Emacs, and Helix. Does nothing where all is there.
# Where testing cannot be reached, its tests are skipped with the reason.
set -euo pipefail
cd "$(dirname "$0")/../.."
FOLDER=$PWD/.editors/testing
MULTIARCH=usr/lib/x86_64-linux-gnu

packages=()
wanted() { command -v "$1" >/dev/null || packages+=("$2"); }
wanted nvim neovim
wanted emacs emacs-nox
wanted vim vim
wanted tmux tmux
wanted patchelf patchelf
compgen -G "/usr/share/emacs/site-lisp/elpa-src/eglot-*" >/dev/null || packages+=(elpa-eglot)
if [ ${#packages[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "The editor tests need: sudo apt-get install ${packages[*]}" >&2; exit 1; }
  echo "Installing Debian's packages ${packages[*]} …"
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

[ -f "$FOLDER/.ready" ] && exit 0
[ "$(uname -m)" = x86_64 ] || { echo "Skipping Neovim 0.12, lsp-mode 10 and Helix: they are unpacked for x86_64 only." >&2; exit 0; }
echo "Fetching Neovim 0.12, lsp-mode 10 and Helix from Debian testing (a minute, once) …"
rm -rf "$FOLDER"
mkdir -p "$FOLDER"/apt/{lists/partial,cache/archives/partial,empty} "$FOLDER"/debs "$FOLDER"/root
echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] http://deb.debian.org/debian testing main" > "$FOLDER/apt/sources.list"
# An apt of its own, so that signatures are checked and the machine's package lists stay as they are.
own_apt() {
  apt-get -qq -o Dir::Etc::sourcelist="$FOLDER/apt/sources.list" -o Dir::Etc::sourceparts="$FOLDER/apt/empty" -o Dir::State::lists="$FOLDER/apt/lists" \
    -o Dir::Cache="$FOLDER/apt/cache" -o Dir::State::status=/dev/null -o APT::Sandbox::User=root -o Acquire::Languages=none -o Acquire::Retries=2 "$@"
}
if ! { own_apt update -o APT::Update::Error-Mode=any && cd "$FOLDER/debs" && own_apt download \
    neovim neovim-runtime libc6 libgcc-s1 libluajit-5.1-2 libtree-sitter0.26 libunibilium4 libutf8proc3 libuv1t64 lua-lpeg lua-luv \
    hx elpa-lsp-mode elpa-dash elpa-f elpa-s elpa-ht elpa-spinner elpa-markdown-mode elpa-lv; } 2>"$FOLDER/apt/errors"; then
  echo "Skipping Neovim 0.12, lsp-mode 10 and Helix: Debian testing did not give them: $(head -1 "$FOLDER/apt/errors")" >&2
  exit 0
fi
for deb in "$FOLDER"/debs/*.deb; do dpkg-deb -x "$deb" "$FOLDER/root"; done
# Debian 12's libc is too old for them: they get their own, by path, and nothing else does.
for program in usr/bin/nvim "$(cd "$FOLDER/root" && find usr -type f -name hx -perm -u+x | head -1)"; do
  patchelf --set-interpreter "$FOLDER/root/$MULTIARCH/ld-linux-x86-64.so.2" --force-rpath \
    --set-rpath "$FOLDER/root/$MULTIARCH" "$FOLDER/root/$program"
done
# A package install would compile these; from source lsp-mode takes long to start.
cd "$FOLDER/root/usr/share/emacs/site-lisp/elpa-src"
emacs -Q --batch --eval '(setq byte-compile-warnings nil)' $(printf ' -L %s' */) -f batch-byte-compile \
  {dash,f,s,ht,spinner,lv,markdown-mode}-*/*.el lsp-mode-*/lsp-{protocol,mode,completion,diagnostics,modeline,headerline,lens,semantic-tokens,inline-completion}.el 2>/dev/null
rm -rf "$FOLDER/debs" "$FOLDER/apt"
touch "$FOLDER/.ready"
