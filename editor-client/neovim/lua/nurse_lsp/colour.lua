-- From 0.10 on, Neovim's own colours for comments and hints are RGB only. In a terminal without RGB a ghost would look like
-- text that stands in the note.
return function(group)
  if vim.fn.has('nvim-0.10') == 0 then return end
  local function tell_apart()
    local colours = vim.api.nvim_get_hl(0, { name = group, link = false })
    if not colours.ctermfg and not colours.ctermbg and not colours.cterm then
      colours.ctermfg = 8
      vim.api.nvim_set_hl(0, group, colours)
    end
  end
  tell_apart()
  vim.api.nvim_create_autocmd('ColorScheme', { callback = tell_apart })
end
