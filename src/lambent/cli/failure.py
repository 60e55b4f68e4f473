"""How a command says that it could not do its work."""

from __future__ import annotations


class CommandError(Exception):
    """The command failed or was refused; the message is a sentence for the person who typed it."""
