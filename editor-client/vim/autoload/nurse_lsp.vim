vim9script
# Starts the server, draws its answer, takes it with Tab. What may be shown is decided in the server; here stands only where it is
# drawn and when it is outdated. Positions are characters (utf-32).

# In your vimrc: g:nurse_lsp_cmd (list), g:nurse_lsp_settings (of the server, in camelCase), g:nurse_lsp_accept, g:nurse_lsp_accept_word.
var job: job
var ready = false
var opened: dict<number> = {}  # buffer -> version that the server has
var ticks: dict<number> = {}   # buffer -> changedtick of that version
var ghost: dict<any> = {}      # what is on the screen: buffer, line, column (in bytes, from 1), text
var asked = ''                 # place of the newest request
var taken = ''               # what Tab or Ctrl-Right is writing
var accepted: dict<any> = {}  # buffer and command of a ghost that was just taken whole

highlight default link NurseGhost Comment
if empty(prop_type_get('NurseGhost'))
  prop_type_add('NurseGhost', {highlight: 'NurseGhost'})
endif

def Uri(buffer: number): string
  const bytes = str2list(fnamemodify(bufname(buffer), ':p'))->mapnew((_, char) => nr2char(char, true))
  return 'file://' .. mapnew(bytes, (_, char) => char =~# '[A-Za-z0-9/._~-]' ? char : Escaped(char))->join('')
enddef

def Escaped(char: string): string
  return range(strlen(char))->mapnew((_, i) => printf('%%%02X', char2nr(strpart(char, i, 1))))->join('')
enddef

def Send(method: string, params: dict<any>)
  if job_status(job) ==# 'run'
    ch_sendexpr(job, {method: method, params: params})
  endif
enddef

def Ask(method: string, params: dict<any>, Take: func)
  if job_status(job) ==# 'run'
    ch_sendexpr(job, {method: method, params: params}, {callback: (_, answer) => Take(get(answer, 'result', v:null))})
  endif
enddef

# The text and the cursor as they are now: an answer for another place is outdated.
def Here(): string
  return join([bufnr(), b:changedtick, line('.'), col('.')], ':')
enddef

def Text(buffer: number): string
  return join(getbufline(buffer, 1, '$'), "\n") .. "\n"
enddef

def Place(): dict<any>
  const character = strchars(strpart(getline('.'), 0, col('.') - 1))
  return {textDocument: {uri: Uri(bufnr())}, position: {line: line('.') - 1, character: character}}
enddef

def Sync(buffer: number)
  const tick: number = getbufvar(buffer, 'changedtick')
  if get(ticks, buffer, -1) == tick
    return
  endif
  ticks[buffer] = tick
  if !has_key(opened, buffer)
    opened[buffer] = 0
    Send('textDocument/didOpen', {textDocument: {uri: Uri(buffer), languageId: 'note', version: 0, text: Text(buffer)}})
    return
  endif
  opened[buffer] += 1
  Send('textDocument/didChange', {textDocument: {uri: Uri(buffer), version: opened[buffer]}, contentChanges: [{text: Text(buffer)}]})
enddef

def Clear()
  if !empty(ghost) && bufexists(ghost.buffer)
    prop_remove({type: 'NurseGhost', bufnr: ghost.buffer, all: true})
  endif
  ghost = {}
enddef

def Draw(text: string)
  Clear()
  ghost = {buffer: bufnr(), line: line('.'), column: col('.'), text: text}
  if col('.') > strlen(getline('.'))
    prop_add(line('.'), 0, {type: 'NurseGhost', text: text, text_align: 'after'})
  else
    prop_add(line('.'), col('.'), {type: 'NurseGhost', text: text})
  endif
enddef

# The text of the ghost that stands at the cursor.
def GhostHere(): string
  return get(ghost, 'buffer') == bufnr() && ghost.line == line('.') && ghost.column == col('.') && asked ==# Here() ? ghost.text : ''
enddef

# Keeps what is left of the ghost where its beginning was just typed; otherwise takes it off the screen.
def TypeThrough()
  if empty(ghost)
    return
  endif
  const typed = strpart(getline('.'), ghost.column - 1, col('.') - ghost.column)
  const rest = strpart(ghost.text, strlen(typed))
  if ghost.buffer == bufnr() && ghost.line == line('.') && col('.') > ghost.column && rest !=# '' && typed .. rest ==# ghost.text
    Draw(rest)
  else
    Clear()
  endif
enddef

def Request()
  if !ready || asked ==# Here() || pumvisible()
    return
  endif
  TypeThrough()
  const place = Here()
  asked = place
  Sync(bufnr())
  Ask('textDocument/inlineCompletion', extend(Place(), {context: {triggerKind: 2}}), (result) => {
    if place !=# asked || place !=# Here() || mode() !~# '^i' || pumvisible()
      return
    endif
    if empty(get(result ?? {}, 'items', []))
      Clear()
    else
      Draw(result.items[0].insertText)
      ghost.command = get(result.items[0], 'command', {})
    endif
    redraw
  })
enddef

# Puts the ghost, or its first word, into the note. Without a ghost the key does what it does in any buffer.
export def Take(key: string, word: bool)
  const text = GhostHere()
  if text ==# ''
    feedkeys(key, 'in')
    return
  endif
  taken = word ? matchstr(text, '^\s*\S\+') : text
  const command: dict<any> = get(ghost, 'command', {})
  Clear()
  feedkeys("\<C-R>\<C-O>=nurse_lsp#Taken()\<CR>", 'in')
  if !word && !empty(command)
    accepted = {buffer: bufnr(), command: command}
  endif
enddef

export def Taken(): string
  return taken
enddef

def Follow()
  if !empty(accepted)
    # The server has to see the text before it is told that it was a ghost.
    Sync(accepted.buffer)
    Ask('workspace/executeCommand', {command: accepted.command.command, arguments: accepted.command.arguments}, (_) => 0)
    accepted = {}
  endif
  Request()
enddef

def Leave()
  Clear()
  asked = ''
enddef

export def Omni(findstart: number, base: string): any
  if findstart == 1
    return match(strpart(getline('.'), 0, col('.') - 1), '\S*$')
  endif
  # Vim has taken the base out of the line, and the server is asked about the note as it was typed.
  const place = Place()
  place.position.character += strchars(base)
  const answer = ch_evalexpr(job, {method: 'textDocument/completion', params: place}, {timeout: 5000})
  const result = get(answer ?? {}, 'result', v:null)
  return mapnew(get(result ?? {}, 'items', []), (_, item) => ({word: has_key(item, 'textEdit') ? item.textEdit.newText : get(item, 'insertText', item.label), abbr: item.label}))
enddef

def Told(_: channel, message: dict<any>)
  if get(message, 'method', '') ==# 'nurse/status'
    const loaded = g:nurse_lsp_status ==# 'loading' && message.params.state ==# 'ready'
    g:nurse_lsp_status = message.params.state
    if loaded && mode() =~# '^i' && has_key(opened, bufnr())
      asked = ''
      Request()
    endif
  elseif get(message, 'method', '') ==# 'window/showMessage'
    echomsg 'nurse-lsp: ' .. message.params.message
  elseif has_key(message, 'id') && has_key(message, 'method')
    ch_sendexpr(job, {id: message.id, result: v:null})
  endif
enddef

def Start()
  const command = get(g:, 'nurse_lsp_cmd', ['nurse-lsp', '--stdio'])
  if !executable(command[0])
    echohl WarningMsg | echomsg 'nurse-lsp: no program ' .. command[0] .. ' here. Set g:nurse_lsp_cmd, or: pip install nurse-lsp' | echohl None
    return
  endif
  job = job_start(command, {in_mode: 'lsp', out_mode: 'lsp', err_io: 'null', callback: Told, exit_cb: (_, _) => {
    ready = false
    opened = {}
    ticks = {}
    g:nurse_lsp_status = 'stopped'
    Clear()
  }})
  const capabilities = {general: {positionEncodings: ['utf-32']}, textDocument: {inlineCompletion: {}}}
  const params = {processId: getpid(), rootUri: v:null, capabilities: capabilities, initializationOptions: get(g:, 'nurse_lsp_settings', {})}
  Ask('initialize', params, (_) => {
    Send('initialized', {})
    ready = true
    for buffer in getbufinfo({bufloaded: 1})
      if getbufvar(buffer.bufnr, '&filetype') ==# 'note'
        Sync(buffer.bufnr)
      endif
    endfor
  })
enddef

export def Open(buffer: number)
  if job_status(job) !=# 'run'
    Start()
  elseif ready
    Sync(buffer)
  endif
  setlocal omnifunc=nurse_lsp#Omni
  augroup nurse_lsp_buffer
    autocmd! * <buffer>
    autocmd InsertEnter,TextChangedI,CursorMovedI <buffer> Follow()
    autocmd InsertLeave,CompleteChanged,TextChangedP <buffer> Leave()
    autocmd BufUnload <buffer> Close(expand('<abuf>')->str2nr())
  augroup END
  for [name, key, word] in [['nurse_lsp_accept', '<Tab>', 'false'], ['nurse_lsp_accept_word', '<C-Right>', 'true']]
    const lhs = get(g:, name, key)
    execute printf('inoremap <buffer> %s <Cmd>call nurse_lsp#Take("%s", v:%s)<CR>', lhs, substitute(lhs, '<', '\\<lt>', 'g'), word)
  endfor
enddef

def Close(buffer: number)
  if has_key(opened, buffer)
    Send('textDocument/didClose', {textDocument: {uri: Uri(buffer)}})
    remove(opened, buffer)
    remove(ticks, buffer)
  endif
enddef
