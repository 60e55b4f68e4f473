"""Sources whose records are in order: shards, lanes, checkpoints, windows."""
