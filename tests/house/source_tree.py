"""The source as the house tests see it: files parsed once, with their imports resolved to modules of the house."""

from __future__ import annotations

import ast
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).resolve().parents[2]
SOURCE = ROOT / "src"
PACKAGE = "lambent"
GENERATED = "lambent/wire/generated/"

# Programs of their own, not modules of the daemon: the first are run by the launcher as root or inside the sandbox, the
# second by the customer's interpreter (Python 3.8 and newer, nothing of this package importable). They have no
# app.py to hand them a Clock or settings, and speak in system calls, whose parameters nobody can choose.
PROGRAMS = (
    "lambent/environments/sandbox/launcher/",
    "lambent/environments/runtimes/clients/",
    "lambent/neighbours/program/",
)


class Import(NamedTuple):
    """One import statement's target: a dotted module, and the name taken from it (None for `import x`)."""

    module: str
    name: str | None
    line: int


@dataclass(frozen=True)
class SourceFile:
    """One file. `path` is relative to src/, with slashes."""

    path: str
    text: str

    @cached_property
    def tree(self) -> ast.Module:
        """The syntax tree."""
        return ast.parse(self.text, self.path)

    @property
    def module(self) -> str:
        """Dotted name; a package's is that of its folder."""
        return self.path.removesuffix(".py").removesuffix("/__init__").replace("/", ".")

    @property
    def is_package(self) -> bool:
        """Whether this is an `__init__.py`."""
        return self.path.endswith("/__init__.py")

    @property
    def room(self) -> str:
        """The room it belongs to: the second part of its dotted name ('' for the package itself)."""
        parts = self.module.split(".")
        return parts[1] if len(parts) > 1 else ""

    @property
    def is_program(self) -> bool:
        """Whether it belongs to a program of its own (see PROGRAMS)."""
        return self.path.startswith(PROGRAMS)

    @property
    def is_generated(self) -> bool:
        """Whether a script writes it."""
        return self.path.startswith(GENERATED) and not self.path.endswith("generated/__init__.py")

    @cached_property
    def imports(self) -> tuple[Import, ...]:
        """Every import, wherever it stands: at the top, under TYPE_CHECKING, in a condition, in a function."""
        return tuple(self._find_imports())

    def _find_imports(self) -> Iterator[Import]:
        for node in ast.walk(self.tree):
            if isinstance(node, ast.Import):
                for alias in node.names:
                    yield Import(alias.name, None, node.lineno)
            elif isinstance(node, ast.ImportFrom):
                module = self._absolute(node)
                for alias in node.names:
                    yield Import(module, alias.name, node.lineno)

    def _absolute(self, node: ast.ImportFrom) -> str:
        if not node.level:
            return node.module or ""
        parts = self.module.split(".")
        keep = len(parts) - node.level + (1 if self.is_package else 0)
        return ".".join([*parts[:keep], *([node.module] if node.module else [])])


@dataclass(frozen=True)
class SourceTree:
    """Files together. Tests plant a wrong one with `planted`."""

    files: tuple[SourceFile, ...]

    @cached_property
    def by_module(self) -> dict[str, SourceFile]:
        """Dotted name → file."""
        return {file.module: file for file in self.files}

    def planted(self, path: str, text: str) -> SourceTree:
        """Return the tree with `text` appended to the file `path`, or as a new file."""
        known = next((file for file in self.files if file.path == path), SourceFile(path, ""))
        others = tuple(file for file in self.files if file.path != path)
        return SourceTree((*others, SourceFile(path, f"{known.text}\n{text}\n")))

    def alone(self, path: str, text: str) -> SourceTree:
        """Return a tree of one file `path` that says `text`, in which imports reach what they reach in this tree."""
        planted = SourceTree((SourceFile(path, text),))
        # Of a cached property: what an import may name is asked of the whole house.
        planted.__dict__["by_module"] = {**self.by_module, **planted.by_module}
        return planted

    def target_of(self, found: Import) -> str | None:
        """Return the module of the house that an import reaches, or None when it is somebody else's."""
        if found.module.partition(".")[0] != PACKAGE:
            return None
        inner = f"{found.module}.{found.name}"
        return inner if found.name is not None and inner in self.by_module else found.module


def read_tree() -> SourceTree:
    """Read src/lambent."""
    paths = sorted((SOURCE / PACKAGE).rglob("*.py"))
    return SourceTree(tuple(SourceFile(path.relative_to(SOURCE).as_posix(), path.read_text()) for path in paths))
