"""Recursive loop detection: how often a function was called in one chain of requests, by the trace header.

Every invocation hands on the trace header with a `Lineage`: for each function of the chain a hash and a count. SDKs
send it on with what they call, queues keep it, so it comes back here with the next turn of a loop.

    Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=0;Lineage=1:fe460cdd:0

Source: developer guide, "Use Lambda recursive loop detection"; the form of Lineage as observed.
"""

from __future__ import annotations

import re
import zlib
from typing import TYPE_CHECKING

from lambent.model.errors import LambdaError

if TYPE_CHECKING:
    from lambent.model.arn import FunctionArn

TURNS_MAX = 16
# Functions of one chain that are counted; those seen first leave first.
_FUNCTIONS_MAX = 8
_ENTRY = re.compile(r"(?:\d+:)?([0-9a-f]{8}):(\d{1,5})")
_LINEAGE = re.compile(r";?\s*Lineage=([^;]*)")


class RecursiveInvocationError(LambdaError):
    """The function called itself too often (400)."""

    code = "RecursiveInvocationException"


class RecursionGuard:
    """Which functions may call themselves. Scope: node. Only writer: app.py's feed. After a crash: rebuilt."""

    def __init__(self) -> None:
        self._allowed: set[tuple[str, str, str]] = set()

    def put(self, arn: FunctionArn, recursive_loop: str | None) -> None:
        """Take a committed configuration; None: there is none, AWS's default (Terminate) applies."""
        key = (arn.account_id, arn.region, arn.name)
        if recursive_loop == "Allow":
            self._allowed.add(key)
        else:
            self._allowed.discard(key)

    def next_header(self, received: str, function: FunctionArn) -> str:
        """Return the trace header that the function is given.

        Raises:
            RecursiveInvocationError: it has been called 16 times in this chain, and may not call itself.
        """
        mine = _hash(function)
        match = _LINEAGE.search(received) if "Lineage=" in received else None
        if match is None:
            return f"{received};Lineage=1:{mine}:0"
        turns = dict(_ENTRY.findall(match[1]))
        count = int(turns.pop(mine)) + 1 if mine in turns else 0
        if count >= TURNS_MAX and (function.account_id, function.region, function.name) not in self._allowed:
            raise RecursiveInvocationError(
                "Lambda has detected your function being invoked in a recursive loop with other Amazon Web Services "
                "resources and stopped your function's invocation."
            )
        others = [f"1:{name}:{seen}" for name, seen in list(turns.items())[1 - _FUNCTIONS_MAX :]]
        lineage = "|".join([*others, f"1:{mine}:{min(count, 32_767)}"])
        return f"{received[: match.start()]}{received[match.end() :]};Lineage={lineage}".removeprefix(";")


def _hash(function: FunctionArn) -> str:
    return f"{zlib.crc32(f'{function.account_id}:{function.region}:{function.name}'.encode()):08x}"
