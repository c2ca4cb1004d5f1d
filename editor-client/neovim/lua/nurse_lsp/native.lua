-- Neovim 0.12 and newer asks for ghosts, draws them and writes them itself (vim.lsp.inline_completion). It keeps a ghost on the screen,
-- and would write it, where other text was typed meanwhile; here stands only what keeps that from happening.
local M = {}

local METHOD = 'textDocument/inlineCompletion'
local namespace = vim.api.nvim_create_namespace('nvim.lsp.inline_completion')
local ghosts = {} -- buffer -> { row, column, text, after }: what the newest answer put on the screen, and what stands right of it

require('nurse_lsp.colour')('ComplHint')

local function cursor()
  local row, column = unpack(vim.api.nvim_win_get_cursor(0))
  return row - 1, column
end

local function hide(buffer)
  ghosts[buffer] = nil
  vim.api.nvim_buf_clear_namespace(buffer, namespace, 0, -1)
end

-- What was typed between a ghost's place and the cursor, where the ghost begins so and goes on; nil where the ghost is outdated.
local function typed(text, row, column)
  local now_row, now_column = cursor()
  local between = vim.api.nvim_get_current_line():sub(column + 1, now_column)
  local goes_on = row == now_row and column <= now_column and #between < #text and vim.startswith(text, between)
  return goes_on and between or nil
end

local function fits(buffer)
  local ghost = ghosts[buffer]
  if not ghost or vim.api.nvim_get_current_buf() ~= buffer or vim.fn.pumvisible() == 1 then return false end
  local _, column = cursor()
  return typed(ghost.text, ghost.row, ghost.column) ~= nil and vim.api.nvim_get_current_line():sub(column + 1) == ghost.after
end

-- The item as it is to be written: what is left of it at the cursor, or the first word of that. A snippet is taken whole or not at all.
local function cut(item, word)
  local row, column = item.range:to_extmark()
  local text = item.insert_text
  if type(text) ~= 'string' then return typed(text.value, row, column) == '' and item or nil end
  local between = typed(text, row, column)
  if not between then return nil end
  if between ~= '' then item.range = nil end -- Neovim then writes at the cursor
  item.insert_text = text:sub(#between + 1)
  if word then
    item.insert_text = item.insert_text:match('^%s*%S+') or item.insert_text
    item.command = nil -- which says that all of it was taken
  end
  return item
end

-- Puts the ghost, or its first word, into the note; false where there is none.
function M.take(buffer, word)
  if not fits(buffer) then return false end
  local taken, done = false, false
  local function on_accept(item)
    local changed = cut(item, word)
    taken = changed ~= nil
    return changed
  end
  if not vim.lsp.inline_completion.get({ bufnr = buffer, on_accept = on_accept }) then return false end
  ghosts[buffer] = nil
  -- Neovim writes it later; keys that were typed ahead must find it written.
  vim.schedule(function() done = true end)
  vim.wait(1000, function() return done end)
  return taken
end

-- Asks again although nothing was typed: Neovim has no function for that, but asks at this event.
function M.refresh(_, buffer)
  vim.api.nvim_exec_autocmds('CursorMovedI', { buffer = buffer, modeline = false })
end

local function answered(buffer, place)
  if vim.api.nvim_get_current_buf() ~= buffer then return end
  local row, column = cursor()
  local mark = vim.api.nvim_buf_get_extmarks(buffer, namespace, 0, -1, { details = true, limit = 1 })[1]
  if not mark or place ~= row .. ':' .. column or vim.fn.pumvisible() == 1 then return hide(buffer) end
  local after = vim.api.nvim_get_current_line():sub(column + 1)
  ghosts[buffer] = { row = row, column = column, text = mark[4].virt_text[1][1], after = after }
end

local function follow(client, buffer)
  -- Neovim lets requests pile up.
  for id, request in pairs(client.requests) do
    if request.type == 'pending' and request.method == METHOD and request.bufnr == buffer then client:cancel_request(id) end
  end
  if not fits(buffer) then hide(buffer) end
end

local function watch(client, buffer, group)
  local places = {} -- request -> where it was asked
  local function on(events, callback)
    vim.api.nvim_create_autocmd(events, { group = group, buffer = buffer, callback = callback })
  end
  on('CursorMovedI', function() follow(client, buffer) end)
  on({ 'InsertLeave', 'CompleteChanged', 'TextChangedP' }, function() hide(buffer) end)
  on('LspRequest', function(event)
    local id, request = event.data.request_id, event.data.request
    if event.data.client_id ~= client.id or request.method ~= METHOD then return end
    local place = places[id]
    if request.type == 'pending' then
      places[id] = table.concat({ cursor() }, ':')
    else
      places[id] = nil
      -- Neovim draws right after this event.
      if request.type == 'complete' and place then vim.schedule(function() answered(buffer, place) end) end
    end
  end)
end

function M.attach(client, buffer, group)
  vim.lsp.inline_completion.enable(true, { bufnr = buffer })
  -- Neovim sets its own events up after this function; ours have to come behind them.
  vim.schedule(vim.schedule_wrap(function()
    if vim.api.nvim_buf_is_valid(buffer) then watch(client, buffer, group) end
  end))
end

return M
