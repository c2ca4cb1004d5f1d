"""From a checkpoint to figures. The command is `nurse-eval`."""
