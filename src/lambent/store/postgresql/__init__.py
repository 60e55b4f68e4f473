"""The driver for several daemons: PostgreSQL, one commit after the other under an advisory lock, a log of changes."""
