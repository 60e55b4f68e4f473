"""Code signing: configurations, which functions have one, and what becomes of code that nobody can verify."""
