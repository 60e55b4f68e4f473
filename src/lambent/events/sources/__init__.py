"""Event sources: mappings, the rules of each kind of source, filters."""
