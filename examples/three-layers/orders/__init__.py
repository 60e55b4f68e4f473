"""Orders: a controller, the rules, and where they are kept."""
