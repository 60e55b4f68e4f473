"""Names that are drawn: of deployments, revisions, resources, and what hook functions answer with."""

from __future__ import annotations

import base64
import hashlib
import json
import uuid
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"
_LENGTH = 9


def new_uuid(random_bytes: Callable[[int], bytes]) -> str:
    """Return a random UUID."""
    return str(uuid.UUID(bytes=random_bytes(16), version=4))


def deployment_id(random_bytes: Callable[[int], bytes]) -> str:
    """Return the id of a new deployment: d- and nine capitals or digits."""
    number = int.from_bytes(random_bytes(8), "big")
    letters = []
    for _ in range(_LENGTH):
        number, rest = divmod(number, len(_LETTERS))
        letters.append(_LETTERS[rest])
    return "d-" + "".join(letters)


def hook_execution_id(random_bytes: Callable[[int], bytes]) -> str:
    """Return what a hook function answers with: text that says nothing."""
    secret = base64.b64encode(random_bytes(48)).decode()
    return base64.b64encode(json.dumps({"executionId": secret}).encode()).decode()


def event_name(hook_id: str) -> str:
    """Return the request id under which a hook function is called: one for each hook id."""
    return str(uuid.UUID(bytes=hashlib.sha256(hook_id.encode()).digest()[:16], version=4))
