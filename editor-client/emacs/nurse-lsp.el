;;; nurse-lsp.el --- Ghost text for nursing notes -*- lexical-binding: t -*-

;; Package-Requires: ((emacs "28.1"))
;; Version: 0.1
;; Keywords: convenience, languages
;; SPDX-License-Identifier: Apache-2.0

;;; Commentary:

;; A major mode for .note files that starts the language server through eglot or lsp-mode, whichever is there (see
;; `nurse-lsp-client').  lsp-mode 10 draws ghost text itself; for eglot and older lsp-mode it is drawn here.  What may be shown
;; is decided in the server: here stands only where it is drawn and when it is outdated.

;;; Code:

(require 'cl-lib)
(require 'subr-x)

(defvar eglot-server-programs)
(defvar lsp-language-id-configuration)
(defvar lsp-inline-completion-active-map)
(defvar lsp-inline-completion-idle-delay)
(defvar lsp-guess-root-without-session)
(defvar lsp-auto-guess-root)
(declare-function eglot-ensure "eglot")
(declare-function eglot-current-server "eglot")
(declare-function eglot--signal-textDocument/didChange "eglot")
(declare-function eglot--TextDocumentPositionParams "eglot")
(declare-function jsonrpc-async-request "jsonrpc")
(declare-function lsp "lsp-mode")
(declare-function lsp-workspaces "lsp-mode")
(declare-function lsp-register-client "lsp-mode")
(declare-function lsp-request-async "lsp-mode")
(declare-function lsp-stdio-connection "lsp-mode")
(declare-function lsp--text-document-position-params "lsp-mode")
(declare-function make-lsp-client "lsp-mode")
(declare-function lsp-inline-completion-mode "lsp-inline-completion")
(declare-function lsp-inline-completion-display "lsp-inline-completion")

(defgroup nurse-lsp nil "Ghost text for nursing notes." :group 'convenience)

(defcustom nurse-lsp-command '("nurse-lsp" "--stdio")
  "The server's program and arguments."
  :type '(repeat string))

(defcustom nurse-lsp-settings nil
  "Settings of the server, as a property list such as (:maxTokens 24 :locale \"uk\")."
  :type 'plist)

(defcustom nurse-lsp-client (if (locate-library "eglot") 'eglot 'lsp-mode)
  "Which client starts the server; nil leaves that to you."
  :type '(choice (const eglot) (const lsp-mode) (const nil)))

(defcustom nurse-lsp-delay 0.05
  "Seconds without a key before ghost text is asked for."
  :type 'number)

(defface nurse-lsp-ghost '((t :inherit shadow)) "Ghost text.")

(defvar nurse-lsp-status nil
  "What the server said last of itself: a symbol such as `loading' or `ready'.")

;;; Ghost text, where the client draws none

(defvar-local nurse-lsp--overlay nil)
(defvar-local nurse-lsp--timer nil)
(defvar-local nurse-lsp--asked nil "Place of the newest request, or of the newest dismissal.")

(defun nurse-lsp--here ()
  "The text and the cursor as they are now: an answer for another place is outdated."
  (cons (buffer-chars-modified-tick) (point)))

(defvar nurse-lsp-ghost-map
  (let ((map (make-sparse-keymap)))
    (define-key map (kbd "TAB") #'nurse-lsp-accept)
    (define-key map (kbd "<tab>") #'nurse-lsp-accept)
    (define-key map (kbd "C-<right>") #'nurse-lsp-accept-word)
    (define-key map (kbd "C-g") #'nurse-lsp-dismiss)
    map)
  "Keys while ghost text is on the screen.")

(define-minor-mode nurse-lsp-ghost-mode "On while ghost text is on the screen." :lighter nil :keymap nurse-lsp-ghost-map)

(defun nurse-lsp--clear ()
  "Takes the ghost off the screen."
  (when nurse-lsp--overlay
    (delete-overlay nurse-lsp--overlay)
    (setq nurse-lsp--overlay nil))
  (when nurse-lsp-ghost-mode (nurse-lsp-ghost-mode -1)))

(defun nurse-lsp--ghost ()
  "The text of the ghost that stands at the cursor, or nil."
  (when (and nurse-lsp--overlay (equal (overlay-get nurse-lsp--overlay 'nurse-lsp-place) (nurse-lsp--here)))
    (overlay-get nurse-lsp--overlay 'nurse-lsp-text)))

(defun nurse-lsp--draw (text command)
  "Draws TEXT at the cursor; COMMAND is sent to the server when all of it is taken."
  (nurse-lsp--clear)
  (let ((shown (propertize text 'face 'nurse-lsp-ghost)))
    (setq nurse-lsp--overlay (make-overlay (point) (if (eolp) (point) (1+ (point))) nil t))
    (if (eolp)
        (progn (put-text-property 0 1 'cursor t shown)
               (overlay-put nurse-lsp--overlay 'after-string shown))
      ;; Inside a line Emacs draws the cursor behind a string, so the ghost is drawn in place of the next character.
      (overlay-put nurse-lsp--overlay 'display (substring shown 0 1))
      (overlay-put nurse-lsp--overlay 'after-string (concat (substring shown 1) (buffer-substring (point) (1+ (point))))))
    (overlay-put nurse-lsp--overlay 'nurse-lsp-text text)
    (overlay-put nurse-lsp--overlay 'nurse-lsp-command command)
    (overlay-put nurse-lsp--overlay 'nurse-lsp-place (nurse-lsp--here)))
  (nurse-lsp-ghost-mode 1))

(defun nurse-lsp--type-through ()
  "Keeps what is left of the ghost where its beginning was just typed; otherwise takes it off the screen."
  (when nurse-lsp--overlay
    (let* ((text (overlay-get nurse-lsp--overlay 'nurse-lsp-text))
           (place (overlay-get nurse-lsp--overlay 'nurse-lsp-place))
           (typed (and (> (point) (cdr place)) (buffer-substring-no-properties (cdr place) (point)))))
      (cond ((equal place (nurse-lsp--here)))
            ((and typed (eq this-command 'self-insert-command) (string-prefix-p typed text) (not (string= typed text)))
             (nurse-lsp--draw (substring text (length typed)) nil))
            (t (nurse-lsp--clear))))))

(defun nurse-lsp--send (method params &optional take)
  "Sends a request for METHOD with PARAMS once the server has the text; TAKE gets a property list."
  (cond
   ((bound-and-true-p eglot--managed-mode)
    (eglot--signal-textDocument/didChange)
    (jsonrpc-async-request (eglot-current-server) method params
                           :success-fn (or take #'ignore) :error-fn #'ignore :timeout-fn #'ignore))
   ((bound-and-true-p lsp-managed-mode)
    (lsp-request-async (substring (symbol-name method) 1) params
                       (lambda (result) (when take (funcall take (nurse-lsp--plist result))))
                       :mode 'alive :error-handler #'ignore))))

(defun nurse-lsp--plist (value)
  "VALUE of lsp-mode, which keeps JSON objects as hash tables, as eglot has it."
  (cond ((hash-table-p value)
         (cl-loop for key being the hash-keys of value using (hash-values held)
                  append (list (intern (concat ":" key)) (nurse-lsp--plist held))))
        ((and (sequencep value) (not (stringp value))) (apply #'vector (mapcar #'nurse-lsp--plist value)))
        (t value)))

(defun nurse-lsp--position ()
  "Where the cursor is, as the client tells the server."
  (if (bound-and-true-p eglot--managed-mode) (eglot--TextDocumentPositionParams) (lsp--text-document-position-params)))

(defun nurse-lsp--request (buffer)
  "Asks for ghost text in BUFFER, if it is still in front and was not asked about this place."
  (when (and (eq buffer (current-buffer)) (not (equal nurse-lsp--asked (nurse-lsp--here)))
             (not buffer-read-only) (not (bound-and-true-p completion-in-region-mode)))
    (let ((place (setq nurse-lsp--asked (nurse-lsp--here))))
      (nurse-lsp--send
       :textDocument/inlineCompletion (append (nurse-lsp--position) '(:context (:triggerKind 2)))
       (lambda (result)
         (when (buffer-live-p buffer)
           (with-current-buffer buffer
             (when (and (equal place nurse-lsp--asked) (equal place (nurse-lsp--here)))
               (let ((items (plist-get result :items)))
                 (if (zerop (length items))
                     (nurse-lsp--clear)
                   (nurse-lsp--draw (plist-get (aref items 0) :insertText) (plist-get (aref items 0) :command))))))))))))

(defun nurse-lsp--after-command ()
  "Follows the cursor."
  (nurse-lsp--type-through)
  (when nurse-lsp--timer (cancel-timer nurse-lsp--timer))
  (setq nurse-lsp--timer (run-with-idle-timer nurse-lsp-delay nil #'nurse-lsp--request (current-buffer))))

(defun nurse-lsp--insert (text command)
  "Writes TEXT of a ghost; COMMAND tells the server that all of it was taken."
  (nurse-lsp--clear)
  (insert text)
  (when command
    (nurse-lsp--send :workspace/executeCommand
                     (list :command (plist-get command :command) :arguments (plist-get command :arguments)))))

(defun nurse-lsp-accept ()
  "Writes the ghost text; where it is outdated the key does what it does elsewhere."
  (interactive)
  (if-let ((text (nurse-lsp--ghost)))
      (nurse-lsp--insert text (overlay-get nurse-lsp--overlay 'nurse-lsp-command))
    (nurse-lsp--clear)
    (call-interactively (or (key-binding (this-command-keys)) #'indent-for-tab-command))))

(defun nurse-lsp-accept-word ()
  "Writes the first word of the ghost text."
  (interactive)
  (if-let ((text (nurse-lsp--ghost)))
      (let ((word (and (string-match "\\`[[:space:]]*[^[:space:]]+" text) (match-string 0 text))))
        (nurse-lsp--insert (or word text) nil))
    (nurse-lsp--clear)
    (call-interactively (or (key-binding (this-command-keys)) #'right-word))))

(defun nurse-lsp-dismiss ()
  "Takes the ghost off the screen until the next change."
  (interactive)
  (nurse-lsp--clear)
  (setq nurse-lsp--asked (nurse-lsp--here)))

(defun nurse-lsp--follow ()
  "Draws ghost text in this buffer from now on."
  (add-hook 'post-command-hook #'nurse-lsp--after-command nil t))

;;; The mode and the clients

(defun nurse-lsp--loaded (state)
  "Notes STATE, as the server tells it; a note that was begun while the model was loading gets its ghost without another key."
  (let ((was nurse-lsp-status))
    (setq nurse-lsp-status (intern state))
    (force-mode-line-update t)
    (when (and (eq was 'loading) (eq nurse-lsp-status 'ready) (derived-mode-p 'nurse-note-mode))
      (setq nurse-lsp--asked nil)
      (if (bound-and-true-p lsp-inline-completion-mode)
          (run-with-timer 0 nil #'nurse-lsp--lsp-display (current-buffer))
        (when (memq #'nurse-lsp--after-command post-command-hook) (nurse-lsp--request (current-buffer)))))))

(defun nurse-lsp--lsp-display (buffer)
  "Lets lsp-mode ask for ghost text in BUFFER, if it is in front: what was typed while the model was loading got none."
  (when (eq buffer (window-buffer))
    (with-current-buffer buffer (lsp-inline-completion-display 'implicit))))

;;;###autoload
(define-derived-mode nurse-note-mode text-mode "Note"
  "A nursing note, with ghost text."
  (setq mode-name '("Note" (nurse-lsp-status (":" (:eval (symbol-name nurse-lsp-status))))))
  (pcase nurse-lsp-client
    ('eglot (nurse-lsp--eglot))
    ('lsp-mode (nurse-lsp--lsp-mode))))

(put 'nurse-note-mode 'eglot-language-id "note")

;;;###autoload
(add-to-list 'auto-mode-alist '("\\.note\\'" . nurse-note-mode))

(defun nurse-lsp--eglot ()
  "Starts the server through eglot."
  (require 'eglot)
  (setf (alist-get 'nurse-note-mode eglot-server-programs)
        (append nurse-lsp-command (and nurse-lsp-settings (list :initializationOptions nurse-lsp-settings))))
  (nurse-lsp--follow)
  (eglot-ensure))

(with-eval-after-load 'eglot
  (cl-defmethod eglot-handle-notification (_server (_method (eql nurse/status)) &key state &allow-other-keys)
    "Notes the server's STATE."
    (with-current-buffer (window-buffer) (nurse-lsp--loaded state))))

(defun nurse-lsp--lsp-mode ()
  "Starts the server through lsp-mode."
  (require 'lsp-mode)
  (require 'lsp-inline-completion nil t)
  (setq-local lsp-auto-guess-root t lsp-guess-root-without-session t)
  (add-hook 'lsp-after-open-hook #'nurse-lsp--lsp-opened nil t)
  (lsp))

(defun nurse-lsp--lsp-opened ()
  "Lets lsp-mode draw ghost text where it can, else does it."
  (if (not (fboundp 'lsp-inline-completion-mode))
      (nurse-lsp--follow)
    (setq-local lsp-inline-completion-idle-delay nurse-lsp-delay)
    (lsp-inline-completion-mode 1)))

(with-eval-after-load 'lsp-mode
  (add-to-list 'lsp-language-id-configuration '(nurse-note-mode . "note"))
  (let ((status (make-hash-table :test 'equal)))
    (puthash "nurse/status"
             (lambda (_workspace params)
               (with-current-buffer (window-buffer)
                 (nurse-lsp--loaded (plist-get (if (hash-table-p params) (nurse-lsp--plist params) params) :state))))
             status)
    (lsp-register-client
     (make-lsp-client :new-connection (lsp-stdio-connection (lambda () nurse-lsp-command))
                      :major-modes '(nurse-note-mode)
                      :server-id 'nurse-lsp
                      :initialization-options (lambda () nurse-lsp-settings)
                      :notification-handlers status))))

(with-eval-after-load 'lsp-inline-completion
  ;; The map is every language's: Tab takes a ghost in notes only.
  (dolist (key '("TAB" "<tab>"))
    (define-key lsp-inline-completion-active-map (kbd key)
      '(menu-item "" lsp-inline-completion-accept
                  :filter (lambda (command) (and (derived-mode-p 'nurse-note-mode) command))))))

(provide 'nurse-lsp)
;;; nurse-lsp.el ends here
