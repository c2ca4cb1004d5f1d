" Ghost text for nursing notes. Vim 9.0.0185 and newer, with channels: Neovim has a client of its own.
if exists('g:loaded_nurse_lsp') || has('nvim') || !has('patch-9.0.0185') || !has('channel')
  finish
endif
let g:loaded_nurse_lsp = 1
let g:nurse_lsp_status = ''

augroup nurse_lsp
  autocmd!
  autocmd FileType note call nurse_lsp#Open(expand('<abuf>') + 0)
augroup END
