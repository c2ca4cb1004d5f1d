autocmd BufRead,BufNewFile *.note setfiletype note
