"""Measurements, never tests: nothing here passes or fails by the clock."""
