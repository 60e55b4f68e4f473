"""When something is due: expressions, time zones, and what comes next."""
