"""The names that functions import from AWS's Python runtime."""
