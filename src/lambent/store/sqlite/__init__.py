"""The embedded driver: SQLite in WAL mode with synchronous=FULL, one writer thread, few readers."""
