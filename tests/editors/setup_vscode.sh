#!/usr/bin/env bash
# VS Code for the tests: code-server from npm (node 20) and Chromium from Debian, kept under .editors/. Does nothing where all is there.
# code-server's own postinstall is not used: it would build every native module and fetch ripgrep from GitHub.
set -euo pipefail
VERSION=4.100.3
cd "$(dirname "$0")/../.."
FOLDER=$PWD/.editors/code-server-$VERSION

[ "$(node --version 2>/dev/null | cut -d. -f1)" = v20 ] || { echo "The VS Code tests need node 20 (code-server $VERSION is built for it)." >&2; exit 1; }

packages=()
command -v chromium >/dev/null || packages+=(chromium)
command -v rg >/dev/null || packages+=(ripgrep)
if [ ${#packages[@]} -gt 0 ]; then
  [ "$(id -u)" = 0 ] || { echo "The VS Code tests need: sudo apt-get install ${packages[*]}" >&2; exit 1; }
  echo "Installing Debian's packages ${packages[*]} …"
  apt-get update -qq && apt-get install -y -qq --no-install-recommends "${packages[@]}" >/dev/null
fi

[ -f "$FOLDER/.ready" ] && exit 0
echo "Setting up code-server $VERSION (a few minutes, once) …"
export npm_config_yes=true npm_config_fund=false npm_config_audit=false npm_config_update_notifier=false npm_config_loglevel=error
mkdir -p "$FOLDER"
cd "$FOLDER"
echo '{"private": true}' > package.json
npm install "code-server@$VERSION" --ignore-scripts
npm rebuild argon2 >/dev/null
cd node_modules/code-server/lib/vscode
npm install --omit=dev --ignore-scripts
# The editor's server asks for these three at its start; no terminal is opened, so node-pty stays unbuilt.
npm rebuild @vscode/spdlog native-watchdog @parcel/watcher >/dev/null
(cd extensions && npm install --omit=dev --ignore-scripts)
mkdir -p node_modules/@vscode/ripgrep/bin
ln -sfn "$(command -v rg)" node_modules/@vscode/ripgrep/bin/rg
ln -sfn node_modules node_modules.asar
touch "$FOLDER/.ready"
