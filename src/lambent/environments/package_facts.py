"""What package and layers tell before they run: top-level names, use of the AWS SDK, native code."""

from __future__ import annotations

import os
import stat
from typing import TYPE_CHECKING

from msgspec import Struct

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from lambent.model.function import FunctionVersion

_KNOWN_MAX = 20_000
# Sources are read up to here to see whether they use the SDK; a package beyond it counts as not using it.
_SOURCE_BYTES_MAX = 16 * 1024 * 1024
_ELF = b"\x7fELF"


# Where a layer's Python modules lie. Source: developer guide, "Layer paths for each Lambda runtime".
_LAYER_MODULES = ("python", "python/lib/python3.*/site-packages")


class _Facts(Struct, frozen=True):
    """`names` are the top-level ones of a package, `layer_names` those that it has for Python as a layer.

    `has_own_libraries`: shared libraries lie where a package's are looked for; `has_libraries`: where a layer's are.
    """

    names: frozenset[str]
    layer_names: frozenset[str]
    has_own_libraries: bool
    has_libraries: bool
    is_sdk_used: bool
    is_native: bool


class PackageFacts:
    """Facts by package, learned once. Scope: node. After a crash: learned again.

    `directory_of` returns the absolute path of an unpacked package by its sha256.
    """

    def __init__(self, directory_of: Callable[[str], Path]) -> None:
        self._directory_of = directory_of
        self._facts: dict[str, _Facts] = {}

    def learn(self, version: FunctionVersion) -> None:
        """Read the package and its layers unless they are known. Blocks: call it in a thread."""
        for sha256 in _packages(version):
            if sha256 in self._facts:
                continue
            facts = _read(self._directory_of(sha256))
            if len(self._facts) >= _KNOWN_MAX:
                self._facts.pop(next(iter(self._facts)), None)
            self._facts[sha256] = facts

    def is_known(self, version: FunctionVersion) -> bool:
        """Whether there is nothing to learn about a version."""
        return all(sha256 in self._facts for sha256 in _packages(version))

    def sdk_names(self, version: FunctionVersion) -> frozenset[str] | None:
        """Return the top-level names of a version's modules, if it uses the Python SDK; None if not, or not known."""
        known = [facts for sha256 in _packages(version) if (facts := self._facts.get(sha256)) is not None]
        if len(known) <= len(version.layers) or not any(facts.is_sdk_used for facts in known):
            return None
        own, *layers = known
        return own.names.union(*(facts.layer_names for facts in layers))

    def has_native_code(self, version: FunctionVersion) -> bool:
        """Whether package or layers hold an ELF program or library; False while it is not known."""
        return any(facts.is_native for sha256 in _packages(version) if (facts := self._facts.get(sha256)) is not None)

    def has_libraries(self, version: FunctionVersion) -> bool:
        """Whether LD_LIBRARY_PATH leads to a shared library of package or layers; False while it is not known."""
        own = self._facts.get(version.code.sha256)
        layers = [self._facts.get(layer.code.sha256) for layer in version.layers]
        return (own is not None and own.has_own_libraries) or any(
            facts is not None and facts.has_libraries for facts in layers
        )


def _packages(version: FunctionVersion) -> list[str]:
    """Return the version's package, then its layers."""
    return [version.code.sha256, *(layer.code.sha256 for layer in version.layers)]


def _read(directory: Path) -> _Facts:
    try:
        names = frozenset(os.listdir(directory))
        layer_names = frozenset(path.name for place in _LAYER_MODULES for path in directory.glob(f"{place}/*"))
    except OSError:
        return _Facts(frozenset(), frozenset(), False, False, is_sdk_used=False, is_native=False)
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
    has_libraries = any(".so" in name for name in _names(directory / "lib"))
    has_own_libraries = has_libraries or any(name.startswith("lib") and ".so" in name for name in names)
    return _Facts(names, layer_names, has_own_libraries, has_libraries, is_sdk_used, is_native)


def _names(directory: Path) -> list[str]:
    try:
        return os.listdir(directory)
    except OSError:
        return []


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
