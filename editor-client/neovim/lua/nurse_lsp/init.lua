-- Ghost text for nursing notes: starts the server, draws its answer, takes it with Tab. Neovim 0.7 and newer.
-- What may be shown is decided in the server; here stands only where it is drawn and when it is outdated.
local M = {}

local namespace = vim.api.nvim_create_namespace('nurse_lsp')
local ghosts = {} -- buffer -> { text, place }: what is on the screen, and where it belongs
local asked = {} -- buffer -> place of the newest request
local options = {
  cmd = { 'nurse-lsp', '--stdio' },
  settings = vim.empty_dict(), -- a plain {} would reach the server as a list
  accept = '<Tab>',
  accept_word = '<C-Right>',
}
local client_id = nil

vim.cmd([[highlight default link NurseGhost Comment]])

-- The text and the cursor as they are now: an answer for another place is outdated.
local function here()
  local cursor = vim.api.nvim_win_get_cursor(0)
  return table.concat({ vim.api.nvim_buf_get_changedtick(0), cursor[1], cursor[2] }, ':')
end

local function clear(buffer)
  ghosts[buffer], asked[buffer] = nil, nil
  if vim.api.nvim_buf_is_valid(buffer) then vim.api.nvim_buf_clear_namespace(buffer, namespace, 0, -1) end
end

-- Keys typed ahead run before any event could clear the ghost, so its place is looked at as well.
local function ghost_here(buffer)
  local ghost = ghosts[buffer]
  return ghost and ghost.place == here() and ghost.text or nil
end

local function draw(buffer, text, place)
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local at_end = column >= #vim.api.nvim_get_current_line()
  -- Text drawn over the rest of a line would hide it: before 0.10, which can push it aside, the ghost then stands after the line.
  local beside = vim.fn.has('nvim-0.10') == 1 and 'inline' or 'eol'
  vim.api.nvim_buf_set_extmark(buffer, namespace, row - 1, column, {
    virt_text = { { text, 'NurseGhost' } },
    virt_text_pos = at_end and 'overlay' or beside,
    hl_mode = 'combine',
  })
  ghosts[buffer] = { text = text, place = place }
end

local function send(client, ...)
  if vim.fn.has('nvim-0.11') == 1 then return client:request(...) end
  return client.request(...)
end

local function request(client, buffer)
  local place = here()
  if asked[buffer] == place then return end -- one key raises two events
  clear(buffer)
  asked[buffer] = place
  local params = vim.lsp.util.make_position_params(0, client.offset_encoding)
  params.context = { triggerKind = 2 }
  send(client, 'textDocument/inlineCompletion', params, function(err, result)
    if err or not result or vim.api.nvim_get_current_buf() ~= buffer or here() ~= place then return end
    if vim.fn.mode():sub(1, 1) ~= 'i' or vim.fn.pumvisible() == 1 then return end
    local item = result.items[1]
    if item then draw(buffer, item.insertText, place) end
  end, buffer)
end

-- Puts the ghost, or its first word, into the note. Without a ghost the key does what it does in any buffer.
-- Not an expression mapping: Neovim works those out ahead, before a key typed just before has changed the text.
local function take(buffer, key, word)
  local text = ghost_here(buffer)
  if not text then
    vim.api.nvim_feedkeys(vim.api.nvim_replace_termcodes(key, true, true, true), 'in', false)
    return
  end
  clear(buffer)
  vim.api.nvim_put({ word and text:match('^%s*%S+') or text }, 'c', false, true)
end

local function attach(client, buffer)
  vim.bo[buffer].omnifunc = 'v:lua.vim.lsp.omnifunc'
  local group = vim.api.nvim_create_augroup('nurse_lsp_' .. buffer, { clear = true })
  local function on(events, callback)
    vim.api.nvim_create_autocmd(events, { group = group, buffer = buffer, callback = callback })
  end
  on({ 'InsertEnter', 'TextChangedI', 'CursorMovedI' }, function() request(client, buffer) end)
  on({ 'InsertLeave', 'CompleteChanged', 'TextChangedP' }, function() clear(buffer) end)
  for key, word in pairs({ [options.accept] = false, [options.accept_word] = true }) do
    vim.keymap.set('i', key, function() take(buffer, key, word) end, { buffer = buffer })
  end
end

-- A note that was begun while the model was loading gets its ghost as soon as that is done.
local function on_status(_, status, context)
  local loaded = vim.g.nurse_lsp_status == 'loading' and status.state == 'ready'
  vim.g.nurse_lsp_status = status.state
  local buffer = vim.api.nvim_get_current_buf()
  if loaded and vim.fn.mode() == 'i' and vim.lsp.buf_is_attached(buffer, context.client_id) then
    asked[buffer] = nil
    request(vim.lsp.get_client_by_id(context.client_id), buffer)
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

-- Options: cmd (list), settings (of the server, in camelCase), accept and accept_word (keys).
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
