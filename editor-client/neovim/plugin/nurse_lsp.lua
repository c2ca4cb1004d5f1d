if vim.g.nurse_lsp_disabled ~= 1 and vim.fn.has('nvim-0.7') == 1 then
  require('nurse_lsp').enable()
end
