"""A control plane over a real store, with everything around it in the test's hand."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import importlib
import io
import os
import zipfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import msgspec
import pytest

from lambent.functions import ControlPlane, ControlPlaneParts, ControlPlaneRules
from lambent.model.caller import Caller, UploadedBlob
from lambent.model.errors import LambdaError
from lambent.store import CodeStore, FunctionStore, InstallationKey, Resources, open_records

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Callable
    from pathlib import Path

    from lambent.model.function import FunctionVersion
    from lambent.model.platform_event import PlatformEvent

ROLE = "arn:aws:iam::000000000000:role/r"
PREFIX = "arn:aws:lambda:us-east-1:000000000000:function:"


_CALLER = Caller("000000000000", "us-east-1", "arn:aws:iam::000000000000:root", "r", "http://localhost:4566")


class JumpingClock:
    """A clock that stands still until told."""

    def __init__(self) -> None:
        self.now_ms = 1_767_225_600_000  # 2026-01-01T00:00:00Z

    def time_ms(self) -> int:
        return self.now_ms

    def monotonic_ns(self) -> int:
        return self.now_ms * 1_000_000


@dataclass
class Scene:
    """The control plane under test. `failure` is what `prepare` answers; `gate` holds it back while it is clear.

    `is_ready_at_once`: new functions have all that they need, so that nothing is prepared.
    """

    data_directory: Path
    store: FunctionStore
    code: CodeStore
    plane: ControlPlane
    clock: JumpingClock
    is_ready_at_once: bool = False
    failure: list[str | None] = field(default_factory=lambda: [None])
    gate: asyncio.Event = field(default_factory=asyncio.Event)
    packages: dict[tuple[str, str, str | None], bytes] = field(default_factory=dict)
    in_environments: set[str] = field(default_factory=set)
    noted: list[PlatformEvent] = field(default_factory=list)
    caller: Caller = field(default_factory=lambda: _CALLER)

    async def call(self, operation: str, caller: Caller | None = None, /, **members: Any) -> Any:
        """Call an operation with members by AWS's names and return its answer as plain values."""
        module = importlib.import_module(f"lambent.wire.generated.{operation}")
        request = msgspec.convert(members, module.REQUEST)
        answer = await getattr(self.plane, operation)(caller or self.caller, request)
        return msgspec.to_builtins(answer)

    async def create(self, name: str = "f", **members: Any) -> Any:
        """Create a function with what must be given."""
        defaults = {"Runtime": "python3.12", "Handler": "index.handler", "Role": ROLE, "Code": {"ZipFile": zipped()}}
        return await self.call("create_function", FunctionName=name, **{**defaults, **members})

    async def create_settled(self, name: str = "f", **members: Any) -> Any:
        """Create a function and wait until it is no longer Pending."""
        await self.create(name, **members)
        return await self.settled(name)

    async def settled(self, name: str = "f") -> Any:
        """Return the configuration once it is neither Pending nor InProgress."""
        async with asyncio.timeout(10):
            while True:
                answer = await self.call("get_function_configuration", FunctionName=name)
                if answer["State"] != "Pending" and answer["LastUpdateStatus"] != "InProgress":
                    return answer
                await asyncio.sleep(0)

    async def refused(self, operation: str, caller: Caller | None = None, /, **members: Any) -> tuple[str, str]:
        """Return code and text of the error that an operation must answer."""
        with pytest.raises(LambdaError) as refusal:
            await self.call(operation, caller, **members)
        return refusal.value.code, refusal.value.message

    async def refused_creation(self, name: str = "f", **members: Any) -> tuple[str, str]:
        """Return code and text of the error that CreateFunction must answer."""
        with pytest.raises(LambdaError) as refusal:
            await self.create(name, **members)
        return refusal.value.code, refusal.value.message


def zipped(text: str = "def handler(event, context): return 1\n", name: str = "index.py") -> str:
    """Return a small package as the wire carries it."""
    return base64.b64encode(zip_bytes({name: text})).decode()


def zip_bytes(files: dict[str, str]) -> bytes:
    """Return a package; equal content gives equal bytes."""
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for name, text in files.items():
            archive.writestr(zipfile.ZipInfo(name), text)
    return buffer.getvalue()


@pytest.fixture
def rules() -> ControlPlaneRules:
    return ControlPlaneRules()


@pytest.fixture
async def scene(tmp_path: Path, rules: ControlPlaneRules) -> AsyncIterator[Scene]:
    async with asyncio.TaskGroup() as tasks:
        with ThreadPoolExecutor(2) as executor:
            made, close = open_scene(tmp_path, rules, executor)
            running = tasks.create_task(made.plane.run())
            yield made
            running.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await running
            await close()


def open_scene(
    data_directory: Path, rules: ControlPlaneRules, executor: ThreadPoolExecutor
) -> tuple[Scene, Callable[[], Any]]:
    """Return a scene whose control plane does not run yet, and how to close its store."""
    key = InstallationKey.open(data_directory / "keys")
    records = open_records(data_directory)
    store = FunctionStore(Resources(records, key))
    code = CodeStore(data_directory, executor)
    clock = JumpingClock()

    async def prepare(_version: FunctionVersion) -> str | None:
        await made.gate.wait()
        return made.failure[0]

    async def is_ready_at_once(_version: FunctionVersion) -> bool:
        return made.is_ready_at_once

    async def download(caller: Caller, bucket: str, object_key: str, version: str | None) -> UploadedBlob:
        content = made.packages[bucket, object_key, version]
        path = data_directory / "downloaded"
        path.write_bytes(content)
        return UploadedBlob(str(path), len(content), "")

    parts = ControlPlaneParts(
        store=store,
        code=code,
        key=key,
        clock=clock,
        random_bytes=os.urandom,
        prepare=prepare,
        is_ready_at_once=is_ready_at_once,
        rules=rules,
        download=download,
        code_in_environments=lambda: made.in_environments,
        note=lambda event: made.noted.append(event),
    )
    made = Scene(data_directory, store, code, ControlPlane(parts), clock)
    made.gate.set()
    return made, records.close
