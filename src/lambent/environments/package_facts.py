"""What a package tells before it runs: top-level names, whether it uses the AWS SDK, whether it holds native code."""

from __future__ import annotations

import os
import stat
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lambent.model.function import FunctionVersion

_KNOWN_MAX = 20_000
# Sources are read up to here to see whether they use the SDK; a package beyond it counts as not using it.
_SOURCE_BYTES_MAX = 16 * 1024 * 1024
_ELF = b"\x7fELF"


@dataclass(frozen=True, slots=True)
class _Facts:
    names: frozenset[str]
    is_sdk_used: bool
    is_native: bool


class PackageFacts:
    """Facts by package, learned once. Scope: node. After a crash: learned again.

    `directory_of` returns the absolute path of a version's unpacked package.
    """

    def __init__(self, directory_of: Callable[[FunctionVersion], Path]) -> None:
        self._directory_of = directory_of
        self._facts: dict[str, _Facts] = {}

    def learn(self, version: FunctionVersion) -> None:
        """Read the package unless it is known. Blocks: call it in a thread."""
        sha256 = version.code.sha256
        if sha256 in self._facts:
            return
        facts = _read(self._directory_of(version))
        if len(self._facts) >= _KNOWN_MAX:
            self._facts.pop(next(iter(self._facts)), None)
        self._facts[sha256] = facts

    def sdk_names(self, version: FunctionVersion) -> frozenset[str] | None:
        """Return the top-level names of a package that uses the Python SDK; None if it does not or is not known."""
        facts = self._facts.get(version.code.sha256)
        return facts.names if facts is not None and facts.is_sdk_used else None

    def has_native_code(self, version: FunctionVersion) -> bool:
        """Whether the package holds an ELF program or library; False while it is not known."""
        facts = self._facts.get(version.code.sha256)
        return facts is not None and facts.is_native


def _read(directory: Path) -> _Facts:
    try:
        names = frozenset(os.listdir(directory))
    except OSError:
        return _Facts(frozenset(), is_sdk_used=False, is_native=False)
    is_sdk_used = is_native = False
    left_bytes = _SOURCE_BYTES_MAX
    for parent, _, files in os.walk(directory):
        for name in files:
            path = os.path.join(parent, name)
            if not is_native and _is_elf(path, name):
                is_native = True
            if not is_sdk_used and left_bytes > 0 and name.endswith(".py"):
                content = _content(path, left_bytes)
                left_bytes -= len(content)
                is_sdk_used = b"boto3" in content or b"botocore" in content
    return _Facts(names, is_sdk_used, is_native)


def _is_elf(path: str, name: str) -> bool:
    try:
        mode = os.lstat(path).st_mode
        if not stat.S_ISREG(mode) or not (mode & 0o111 or ".so" in name or name.endswith(".node")):
            return False
        with open(path, "rb") as file:
            return file.read(4) == _ELF
    except OSError:
        return False


def _content(path: str, bytes_max: int) -> bytes:
    try:
        if not stat.S_ISREG(os.lstat(path).st_mode):
            return b""
        with open(path, "rb") as file:
            return file.read(bytes_max)
    except OSError:
        return b""
