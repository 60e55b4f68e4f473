"""What hangs on functions: policies, event invoke configs, URLs, event source mappings, tags."""
