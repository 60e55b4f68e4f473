"""Answers that arrive piece by piece: on their way from a runtime to whoever called."""
