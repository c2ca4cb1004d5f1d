-- Neovim 0.7 to 0.11: asks for ghosts at every key, draws and writes them.
local M = {}

local namespace = vim.api.nvim_create_namespace('nurse_lsp')
local ghosts = {} -- buffer -> { text, place, client, command }: what is on the screen, and where it belongs
local asked = {} -- buffer -> place of the newest request

vim.cmd([[highlight default link NurseGhost Comment]])
require('nurse_lsp.colour')('NurseGhost')

-- The text and the cursor as they are now: an answer for another place is outdated.
local function here()
  local cursor = vim.api.nvim_win_get_cursor(0)
  return table.concat({ vim.api.nvim_buf_get_changedtick(0), cursor[1], cursor[2] }, ':')
end

local function clear(buffer)
  ghosts[buffer], asked[buffer] = nil, nil
  if vim.api.nvim_buf_is_valid(buffer) then vim.api.nvim_buf_clear_namespace(buffer, namespace, 0, -1) end
end

local function draw(buffer, text)
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  local at_end = column >= #vim.api.nvim_get_current_line()
  -- Text drawn over the rest of a line would hide it: before 0.10, which can push it aside, the ghost then stands after the line.
  local beside = vim.fn.has('nvim-0.10') == 1 and 'inline' or 'eol'
  vim.api.nvim_buf_set_extmark(buffer, namespace, row - 1, column, {
    virt_text = { { text, 'NurseGhost' } },
    virt_text_pos = at_end and 'overlay' or beside,
    hl_mode = 'combine',
  })
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
    if not item then return end
    draw(buffer, item.insertText)
    ghosts[buffer] = { text = item.insertText, place = place, client = client, command = item.command }
  end, buffer)
end

-- Puts the ghost, or its first word, into the note; false where there is none.
function M.take(buffer, word)
  local ghost = ghosts[buffer]
  -- Keys typed ahead run before any event could clear the ghost, so its place is looked at as well.
  if not ghost or ghost.place ~= here() then return false end
  clear(buffer)
  vim.api.nvim_put({ word and ghost.text:match('^%s*%S+') or ghost.text }, 'c', false, true)
  if not word and ghost.command then
    -- Neovim sends the text that was just written before any request.
    local params = { command = ghost.command.command, arguments = ghost.command.arguments }
    send(ghost.client, 'workspace/executeCommand', params, function() end, buffer)
  end
  return true
end

-- Asks again although nothing was typed.
function M.refresh(client, buffer)
  asked[buffer] = nil
  request(client, buffer)
end

function M.attach(client, buffer, group)
  local function on(events, callback)
    vim.api.nvim_create_autocmd(events, { group = group, buffer = buffer, callback = callback })
  end
  on({ 'InsertEnter', 'TextChangedI', 'CursorMovedI' }, function() request(client, buffer) end)
  on({ 'InsertLeave', 'CompleteChanged', 'TextChangedP' }, function() clear(buffer) end)
end

return M
