"""Who may import whom, as a literal (ARCHITECTURE.md shows it), and the functions that hold the source against it.

Imports count wherever they stand: typing-only ones hide knots, function-local ones hide arrows.
"""

from __future__ import annotations

import ast
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from tests.house.source_tree import Import, SourceFile, SourceTree

# A row for a file of a room (`cli.serve`) replaces the room's row. Rooms that do not exist yet have their rows already.
TABLE: Mapping[str, frozenset[str]] = {
    room: frozenset(granted.split())
    for room, granted in {
        "model": "",
        "settings": "setting_bounds setting_events setting_machine setting_storage",
        "setting_bounds": "",
        "setting_events": "setting_bounds",
        "setting_machine": "",
        "setting_storage": "setting_bounds",
        "clock": "",
        "wire": "clock",
        "store": "clock model",
        "environments": "clock model store",
        "invocation": "clock model environments",
        "functions": "clock model wire store environments",
        "events": "clock model wire store invocation",
        "durable": "clock model wire store invocation",
        "observability": "clock model store",
        # It speaks to registries, which the store may not, and what it unpacks only the assembly hands on.
        "images": "clock model wire",
        "api": "clock model wire functions events durable invocation",
        "gateways": "clock model wire store invocation",
        "neighbours": "clock model wire settings",
        "triggers": "clock model wire store events",
        "cluster": "clock model wire store invocation environments",
        "console": "wire",
        # Client commands speak to a server over the wire; where it is and with which keys, the environment says.
        "cli": "clock wire settings",
        # These three work on the installation itself, with or without a running daemon.
        "cli.serve": "settings app startup",
        "cli.doctor": "settings app startup",
        "cli.keys": "clock settings store",
        "app": (
            "clock settings model wire store environments invocation functions events durable observability api "
            "gateways neighbours triggers cluster images startup workers feed preparation randomness routes aws_names "
            "served callers "
        ),
        # Parts of the assembly with a subject of their own.
        "feed": "model store environments invocation events gateways",
        "preparation": "model store environments",
        "aws_names": "clock wire store",
        "routes": "model api events functions images observability",
        "served": "clock model wire store events functions neighbours triggers",
        "callers": "api clock model settings store triggers wire",
        # What app.py must do before the event loop and before rights are dropped.
        "startup": "clock settings model store environments",
        "workers": "",
        "randomness": "",
        "__main__": "cli",
    }.items()
}

# Packages from outside, and those of the standard library that only one room has business with.
PACKAGES: Mapping[str, frozenset[str]] = {
    room: frozenset(granted.split())
    for room, granted in {
        "wire": "httptools botocore",
        "api": "httptools",
        "store": "asyncpg cryptography ctypes sqlite3",
        "environments": "ctypes",
        "images": "ctypes zstandard",
        "cli": "boto3 botocore uvloop yaml",
        "events": "aiormq bson confluent_kafka cryptography fastavro google jsonschema pymongo referencing yarl",
        "neighbours": "ctypes",
        "triggers": "cryptography yaml",
    }.items()
}
# The launcher's inner program becomes the runtime client, which the sandbox has at /var/runtime.
# The embedded services' program has their packages, and nothing else.
_PROGRAM_PACKAGES = frozenset({"lambent_runtime", "ministack", "hypercorn", "samtranslator", "yaml"})
# What values are made of. The launcher and the runtime clients run without any package and have dataclasses.
_STRUCTS = "msgspec"
_RESERVED_STANDARD = frozenset({"sqlite3", "ctypes"})
# Everybody may enter these two by any of their modules; the others only by what their `__init__` names.
OPEN_ROOMS = frozenset({"model", "wire"})
# Contracts are doors too: files of types and Protocols that both sides of a door speak in.
CONTRACTS = frozenset(
    {"lambent.environments.sandbox.sandbox", "lambent.environments.runtimes.plan", "lambent.store.contracts"}
    | {"lambent.store.queues.contracts"}
)
NAMES_MAX = 7


def wrong_arrows(tree: SourceTree) -> list[str]:
    """Return imports of rooms that the table does not grant."""
    wrong = []
    for file, found in _imports(tree):
        target = tree.target_of(found)
        if target is None or not file.room:
            continue
        room = _room(target)
        granted = TABLE.get(_row(file), frozenset())
        if room not in (file.room, "") and room not in granted:
            wrong.append(f"{file.path}:{found.line}: {file.room} may not import {room} ({target})")
    return wrong


def wrong_packages(tree: SourceTree) -> list[str]:
    """Return imports of packages that the room has no grant for."""
    wrong = []
    for file, found in _imports(tree):
        package = found.module.partition(".")[0]
        if package in ("lambent", "__future__", "") or file.path.startswith("lambent/environments/runtimes/clients/"):
            continue
        is_free = package in sys.stdlib_module_names and package not in _RESERVED_STANDARD
        is_free = is_free or (package in _PROGRAM_PACKAGES if file.is_program else package == _STRUCTS)
        if not is_free and package not in PACKAGES.get(file.room, frozenset()):
            wrong.append(f"{file.path}:{found.line}: {file.room or 'the package'} may not import {package}")
    return wrong


def back_doors(tree: SourceTree) -> list[str]:
    """Return imports that reach into another room instead of using what its `__init__` (or a sub-room's) names."""
    wrong = []
    for file, found in _imports(tree):
        target = tree.target_of(found)
        if target is None:
            continue
        room = _room(target)
        if room in ("", file.room) or room in OPEN_ROOMS or file.room == "":
            continue
        entered = tree.by_module.get(target)
        is_single_file = entered is not None and not entered.is_package and target.count(".") == 1
        if is_single_file or target in CONTRACTS:
            continue
        if entered is None or not entered.is_package or found.name not in public_names(entered):
            wrong.append(f"{file.path}:{found.line}: {target} ({found.name}) is not at the front door of {room}")
    return wrong


def crowded_doors(tree: SourceTree) -> list[str]:
    """Return packages whose `__init__` imports without `__all__`, or names too much."""
    wrong = []
    for file in tree.files:
        if not file.is_package or file.room in (*OPEN_ROOMS, "") or file.is_program:
            continue
        names = public_names(file)
        if not names and any(tree.target_of(found) for found in file.imports):
            wrong.append(f"{file.path}: imports names and has no __all__")
        if len(names) > NAMES_MAX:
            wrong.append(f"{file.path}: {len(names)} names, at most {NAMES_MAX}")
    return wrong


def cycles(tree: SourceTree) -> list[str]:
    """Return the import cycles, typing-only imports counted."""
    edges: dict[str, set[str]] = {file.module: set() for file in tree.files}
    for file, found in _imports(tree):
        target = tree.target_of(found)
        if target in edges and target != file.module:
            edges[file.module].add(target)
    return [" -> ".join(knot) for knot in _knots(edges)]


def public_names(file: SourceFile) -> list[str]:
    """Return what `__all__` lists."""
    for node in file.tree.body:
        if isinstance(node, ast.Assign) and any(isinstance(t, ast.Name) and t.id == "__all__" for t in node.targets):
            return [str(name) for name in ast.literal_eval(node.value)]
    return []


def _imports(tree: SourceTree) -> Iterator[tuple[SourceFile, Import]]:
    for file in tree.files:
        if not file.is_generated:
            for found in file.imports:
                yield file, found


def _room(module: str) -> str:
    parts = module.split(".")
    return parts[1] if len(parts) > 1 else ""


def _row(file: SourceFile) -> str:
    inner = file.module.removeprefix("lambent.")
    return inner if inner in TABLE else file.room


def _knots(edges: Mapping[str, set[str]]) -> list[list[str]]:
    """Return what remains when modules that import nothing remaining, or that nothing remaining imports, are taken."""
    left = {module: set(targets) for module, targets in edges.items()}
    while True:
        imported = set().union(*left.values()) if left else set()
        free = [module for module, targets in left.items() if not (targets & left.keys()) or module not in imported]
        if not free:
            return [sorted(left)] if left else []
        for module in free:
            del left[module]
        for targets in left.values():
            targets.intersection_update(left)
