"""A layer from its bytes to a tree of files, and several trees as one: what runs in worker processes."""
