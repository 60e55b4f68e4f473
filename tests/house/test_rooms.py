"""Who may import whom; rooms entered by their front doors; no knots. Planted wrong imports prove that it looks."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.house import import_table
from tests.house.import_table import TABLE

if TYPE_CHECKING:
    from tests.house.source_tree import SourceTree

_FORMS = {
    "plain": "from lambent.{room} import {name}",
    "whole": "import lambent.{room}",
    "conditional": "if bool():\n    from lambent.{room} import {name}",
    "typing": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    from lambent.{room} import {name}",
    "local": "def planted() -> None:\n    from lambent.{room} import {name}",
    "inner": "from lambent.{room}.deep.inside import {name}",
}


def test_only_granted_arrows(source_tree: SourceTree) -> None:
    assert import_table.wrong_arrows(source_tree) == []


def test_only_granted_packages(source_tree: SourceTree) -> None:
    assert import_table.wrong_packages(source_tree) == []


def test_rooms_are_entered_by_their_front_doors(source_tree: SourceTree) -> None:
    assert import_table.back_doors(source_tree) == []


def test_front_doors_are_narrow(source_tree: SourceTree) -> None:
    assert import_table.crowded_doors(source_tree) == []


def test_no_cycles(source_tree: SourceTree) -> None:
    assert import_table.cycles(source_tree) == []


def test_every_room_has_a_row(source_tree: SourceTree) -> None:
    assert {file.room for file in source_tree.files} - {""} <= set(TABLE)


@pytest.mark.parametrize("form", _FORMS)
def test_every_wrong_arrow_is_caught(source_tree: SourceTree, form: str) -> None:
    missed = []
    count = 0
    for room, granted in TABLE.items():
        for target in sorted(set(TABLE) - granted - {room, "__main__"}):
            if "." in room or "." in target:
                continue
            count += 1
            path = (
                f"lambent/{room}.py"
                if room in ("app", "feed", "routes", "startup", "settings", "clock", "__main__")
                else f"lambent/{room}/planted.py"
            )
            text = _FORMS[form].format(room=target, name="Anything")
            if not import_table.wrong_arrows(source_tree.alone(path, text)):
                missed.append((room, target))
    assert count > 150
    assert missed == []


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("lambent/cli/logs.py", "from lambent.app import Application"),
        ("lambent/api/planted.py", "from ..store import anything"),
        ("lambent/environments/sandbox/planted.py", "from ...functions import anything"),
    ],
)
def test_relative_and_file_rows_are_held(source_tree: SourceTree, path: str, text: str) -> None:
    assert len(import_table.wrong_arrows(source_tree.planted(path, text))) == 1 + len(
        import_table.wrong_arrows(source_tree)
    )


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("lambent/environments/sandbox/launcher/planted.py", "import msgspec"),
        ("lambent/model/planted.py", "def f():\n    import sqlite3"),
        ("lambent/api/planted.py", "from botocore import loaders"),
        ("lambent/functions/planted.py", "import httptools"),
        ("lambent/functions/planted.py", "import ctypes"),
        ("lambent/app.py", "import aiohttp.web"),
    ],
)
def test_wrong_packages_are_caught(source_tree: SourceTree, path: str, text: str) -> None:
    before = import_table.wrong_packages(source_tree)
    assert len(import_table.wrong_packages(source_tree.planted(path, text))) == len(before) + 1


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("lambent/invocation/planted.py", "from lambent.environments.pool import EnvironmentPool"),
        ("lambent/invocation/planted.py", "from lambent.environments import pool"),
        ("lambent/invocation/planted.py", "import lambent.environments.pool"),
        ("lambent/app.py", "from lambent.environments import _private"),
    ],
)
def test_back_doors_are_caught(source_tree: SourceTree, path: str, text: str) -> None:
    before = import_table.back_doors(source_tree)
    assert len(import_table.back_doors(source_tree.planted(path, text))) == len(before) + 1


def test_a_planted_cycle_is_caught(source_tree: SourceTree) -> None:
    tree = source_tree.planted("lambent/model/one.py", "from lambent.model import two")
    tree = tree.planted("lambent/model/two.py", "def f():\n    from lambent.model.one import x")
    assert import_table.cycles(source_tree) == []
    assert any("lambent.model.one -> lambent.model.two" in knot for knot in import_table.cycles(tree))


def test_a_crowded_door_is_caught(source_tree: SourceTree) -> None:
    names = [f"n{number}" for number in range(8)]
    before = import_table.crowded_doors(source_tree)
    assert (
        len(import_table.crowded_doors(source_tree.planted("lambent/x/__init__.py", f"__all__ = {names}")))
        == len(before) + 1
    )
    planted = source_tree.planted("lambent/x/__init__.py", "from lambent.model.arn import FunctionArn")
    assert len(import_table.crowded_doors(planted)) == len(before) + 1
