"""From notes to a checkpoint: read or synthesise, prepare, train. The command is `nurse-train`."""
