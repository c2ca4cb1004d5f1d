"""One file a command of `nurse-eval`; `options.py` holds what they share."""
