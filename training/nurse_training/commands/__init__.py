"""One file a command of `nurse-train`; `shared.py` holds what they share."""
