"""Event source mappings over a real store."""

from __future__ import annotations

import importlib
import os
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from lambent.events.sources.mappings import EventSourceMappings
from lambent.model.caller import Caller
from lambent.model.errors import LambdaError
from lambent.model.function import CodeReference, FunctionVersion
from lambent.store import InstallationKey, Resources, open_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator
    from pathlib import Path

_CALLER = Caller("000000000000", "us-east-1", "arn:aws:iam::000000000000:root", "r", "http://localhost:4566")


class StandingClock:
    """A clock that stands still."""

    def time_ms(self) -> int:
        return 1_767_225_600_000

    def monotonic_ns(self) -> int:
        return 0


@dataclass
class Sources:
    """The mappings under test, with a function `f`."""

    resources: Resources
    mappings: EventSourceMappings
    caller: Caller = field(default_factory=lambda: _CALLER)

    async def call(self, operation: str, caller: Caller | None = None, /, **members: Any) -> Any:
        """Call an operation with members by AWS's names and return its answer as plain values."""
        module = importlib.import_module(f"lambent.wire.generated.{operation}")
        request = msgspec.convert(members, module.REQUEST)
        return msgspec.to_builtins(await getattr(self.mappings, operation)(caller or self.caller, request))

    async def refused(self, operation: str, caller: Caller | None = None, /, **members: Any) -> tuple[str, str]:
        """Return code and text of the error that an operation must answer."""
        with pytest.raises(LambdaError) as refusal:
            await self.call(operation, caller, **members)
        return refusal.value.code, refusal.value.message

    async def add_function(self, name: str) -> None:
        """Put a function into the store."""
        code = CodeReference("", 0, 0)
        function = FunctionVersion("000000000000", "us-east-1", name, "arn:aws:iam::0:role/r", code, "c", "1", 0)
        await self.resources.commit(self.resources.put_new(function))


@pytest.fixture
async def sources(tmp_path: Path) -> AsyncIterator[Sources]:
    key = InstallationKey.open(tmp_path / "keys")
    records = open_records(tmp_path)
    resources = Resources(records, key)
    made = Sources(resources, EventSourceMappings(resources, StandingClock(), os.urandom))
    await made.add_function("f")
    yield made
    await records.close()
