"""Why a store cannot be opened."""

from __future__ import annotations


class StoreUnusableError(Exception):
    """The data directory cannot be used as it is; the text tells a person what to do. Raised at start only."""
