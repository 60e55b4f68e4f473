"""Ids that follow from what they name: made again after a crash they are the same."""

from __future__ import annotations

import hashlib
import uuid

# Source: API reference of Secrets Manager: what changes when a secret is rotated.
ROTATION_CHANGES = frozenset({"RotateSecret", "CancelRotateSecret", "DeleteSecret", "RestoreSecret"})


def random_looking_id(*parts: str) -> str:
    """Return a UUID in the form of a random one (version 4) that these parts alone decide."""
    digest = hashlib.sha256("\x00".join(parts).encode()).digest()
    return str(uuid.UUID(bytes=digest[:16], version=4))


def execution_id(*parts: str) -> str:
    """Return an id of sixteen hexadecimal digits that these parts alone decide."""
    return hashlib.sha256("\x00".join(("execution", *parts)).encode()).hexdigest()[:16]
