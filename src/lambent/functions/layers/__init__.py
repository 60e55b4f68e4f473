"""Layers: publishing them, who may use them, and which ones a function has."""
