"""Answers that are streamed to the caller while a function writes them."""
