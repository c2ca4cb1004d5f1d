-- Ghost text for nursing notes: starts the server, binds the keys, tells the status. Neovim 0.7 and newer.
-- What may be shown is decided in the server; native.lua and shim.lua are the two ways to draw it.
local M = {}

local options = {
  cmd = { 'nurse-lsp', '--stdio' },
  settings = vim.empty_dict(), -- a plain {} would reach the server as a list
  accept = '<Tab>',
  accept_word = '<C-Right>',
  native = vim.lsp.inline_completion ~= nil,
}
local client_id = nil

local function way()
  return require(options.native and 'nurse_lsp.native' or 'nurse_lsp.shim')
end

-- Takes the ghost, or its first word. Without a ghost the key does what it does in any buffer.
-- Not an expression mapping: Neovim works those out ahead, before a key typed just before has changed the text.
local function press(buffer, key, word)
  if not way().take(buffer, word) then vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes(key, true, true, true), 'in', false) end
end

local function attach(client, buffer)
  vim.bo[buffer].omnifunc = 'v:lua.vim.lsp.omnifunc'
  way().attach(client, buffer, vim.api.nvim_create_augroup('nurse_lsp_' .. buffer, { clear = true }))
  for key, word in pairs({ [options.accept] = false, [options.accept_word] = true }) do
    vim.keymap.set('i', key, function() press(buffer, key, word) end, { buffer = buffer })
  end
end

-- A note that was begun while the model was loading gets its ghost as soon as that is done.
local function on_status(_, status, context)
  local loaded = vim.g.nurse_lsp_status == 'loading' and status.state == 'ready'
  vim.g.nurse_lsp_status = status.state
  local buffer = vim.api.nvim_get_current_buf()
  if loaded and vim.fn.mode() == 'i' and vim.lsp.buf_is_attached(buffer, context.client_id) then
    way().refresh(vim.lsp.get_client_by_id(context.client_id), buffer)
  end
end

local function start(buffer)
  local config = {
    name = 'nurse-lsp',
    cmd = options.cmd,
    init_options = options.settings,
    on_attach = attach,
    on_exit = vim.schedule_wrap(function() vim.g.nurse_lsp_status = 'stopped' end),
    handlers = { ['nurse/status'] = on_status },
  }
  if vim.lsp.start then -- 0.8 and newer
    vim.lsp.start(config, { bufnr = buffer, reuse_client = function(client) return client.name == config.name end })
    return
  end
  if not client_id or not vim.lsp.get_client_by_id(client_id) then client_id = vim.lsp.start_client(config) end
  if client_id then vim.lsp.buf_attach_client(buffer, client_id) end
end

-- Options: see |nurse-setup|.
function M.setup(changes)
  options = vim.tbl_deep_extend('force', options, changes or {})
end

function M.enable()
  vim.api.nvim_create_autocmd('FileType', {
    group = vim.api.nvim_create_augroup('nurse_lsp', { clear = true }),
    pattern = 'note',
    callback = function(event) start(event.buf) end,
  })
end

return M
