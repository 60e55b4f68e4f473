"""The child's own program; not a module of the daemon."""
