vim.cmd([[autocmd BufRead,BufNewFile *.note setfiletype note]])
