"""The closed set of messages that the supervisor takes from the daemon, and their check.

The daemon may be hostile: whatever is not exactly one of these is refused, and nothing else happens.
"""

from __future__ import annotations

import json
from typing import Any

IDENTIFIER_MAX = 2**31
TEXT_BYTES_MAX = 4096
LIST_MAX = 32
MESSAGE_BYTES_MAX = 65536

_IDENTIFIER = ("int", 1, IDENTIFIER_MAX)
_TEXT = ("text", 0, TEXT_BYTES_MAX)
_OPTIONAL_TEXT = ("optional_text", 0, TEXT_BYTES_MAX)
_TEXTS = ("texts", 0, LIST_MAX)
_BOOL = ("bool", 0, 1)
# Names of unpacked layers: an image has 127 at most.
_HASHES = ("hashes", 0, 127)

SCHEMA: dict[str, dict[str, tuple[str, int, int]]] = {
    "zygote": {
        "zygote": _IDENTIFIER,
        "family": _TEXT,
        "executable": _OPTIONAL_TEXT,
        "roots": _TEXTS,
        "client_directory": _OPTIONAL_TEXT,
        "sdk_directory": _OPTIONAL_TEXT,
        "preload_sdk": _BOOL,
        "is_fresh": _BOOL,
    },
    "end_zygote": {"zygote": _IDENTIFIER},
    "create": {"id": _IDENTIFIER, "zygote": _IDENTIFIER, "argv": _TEXTS, "shared": _OPTIONAL_TEXT},
    "specialise": {
        "id": _IDENTIFIER,
        "code": _OPTIONAL_TEXT,
        "layers": _OPTIONAL_TEXT,
        "root": _HASHES,
        "is_merged": _BOOL,
        "memory_mib": ("int", 1, 65536),
        "tmp_mib": ("int", 1, 65536),
    },
    "cpu": {"id": _IDENTIFIER, "millicpus": ("int", 1, 1_024_000)},
    "close": {"id": _IDENTIFIER},
}


class RefusedError(Exception):
    """The message is not one of the closed set, or names something it may not name.

    `concerned` names the sandbox or zygote as far as the message did, so that its asker need not wait for an answer.
    """

    def __init__(self, text: str, concerned: dict[str, int] | None = None) -> None:
        super().__init__(text)
        self.concerned = concerned or {}


def parse(data: bytes, generation: int) -> dict[str, Any] | None:
    """Return one checked message, None when it was meant for an earlier supervisor. Raises RefusedError."""
    if len(data) > MESSAGE_BYTES_MAX:
        raise RefusedError("too long")
    try:
        message = json.loads(data)
    except (ValueError, RecursionError):
        raise RefusedError("not JSON") from None
    if not isinstance(message, dict):
        raise RefusedError("not an object")
    kind = message.pop("kind", None)
    schema = SCHEMA.get(kind) if isinstance(kind, str) else None
    if schema is None:
        raise RefusedError("unknown kind")
    sent = message.pop("generation", None)
    if type(sent) is not int:
        raise RefusedError("no generation")
    if message.keys() != schema.keys():
        raise RefusedError(f"{kind}: wrong members")
    for name, rule in schema.items():
        if not _fits(message[name], *rule):
            named = {key: message[key] for key in ("id", "zygote") if _fits(message.get(key), *_IDENTIFIER)}
            raise RefusedError(f"{kind}: bad {name}", named if sent == generation else None)
    if sent != generation:
        return None
    message["kind"] = kind
    return message


def _fits(value: object, form: str, low: int, high: int) -> bool:
    if form == "int":
        return type(value) is int and low <= value <= high
    if form == "bool":
        return type(value) is bool
    if form == "texts":
        return isinstance(value, list) and len(value) <= high and all(_fits(each, *_TEXT) for each in value)
    if form == "hashes":
        return isinstance(value, list) and len(value) <= high and all(map(_is_hash, value))
    if value is None:
        return form == "optional_text"
    return isinstance(value, str) and "\0" not in value and value.isprintable() and len(value) <= high


def _is_hash(value: object) -> bool:
    return isinstance(value, str) and len(value) == 64 and all(digit in "0123456789abcdef" for digit in value)
