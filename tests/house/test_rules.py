"""STYLE.md holds over the source; each rule catches what it was written for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.house import rules
from tests.house.source_tree import ROOT, SourceFile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.house.source_tree import SourceTree

_RULES: list[Callable[[SourceFile], Iterator[str]]] = [
    rules.long_files,
    rules.long_functions,
    rules.many_parameters,
    rules.banned_names,
    rules.unfinished,
    rules.module_state,
    rules.loose_tasks,
    rules.environment_reads,
    rules.clock_reads,
    rules.broad_excepts,
    rules.undocumented,
]
_TEXTS = ("src", "tests", "scripts", "docs", "examples", "benchmarks", ".ci")
_SUFFIXES = (".py", ".md", ".toml", ".js", ".mjs", ".sh", ".c", ".go", "")


@pytest.mark.parametrize("rule", _RULES, ids=lambda rule: rule.__name__)
def test_the_source_keeps(source_tree: SourceTree, rule: Callable[[SourceFile], Iterator[str]]) -> None:
    assert [broken for file in source_tree.files for broken in rule(file)] == []


def test_folders_are_small(source_tree: SourceTree) -> None:
    assert list(rules.crowded_folders(source_tree.files)) == []


def test_nothing_is_left_to_do_anywhere() -> None:
    found = []
    for top in _TEXTS:
        for path in (ROOT / top).rglob("*"):
            is_ours = "node_modules" not in path.parts and "generated" not in path.parts and path.suffix in _SUFFIXES
            if path.is_file() and is_ours:
                text = path.read_text(errors="replace")
                found += list(rules.unfinished(SourceFile(path.relative_to(ROOT).as_posix(), text)))
    assert found == []


_SEVEN = ", ".join(f"p{number}" for number in range(7))
_PLANTS = [
    (rules.long_files, "x = 1\n" * 601),
    (rules.long_functions, "def f():\n" + "    x = 1\n" * 70),
    (rules.many_parameters, f"def f({_SEVEN}): ..."),
    (rules.many_parameters, "def f(self, a, b, c, *, d, e, f, **g): ..."),
    (rules.banned_names, "class PoolManager: ..."),
    (rules.banned_names, "class HTTPHandlers: ..."),
    (rules.unfinished, "x = 1  # TO" + "DO later"),
    (rules.module_state, "_CACHE = {}"),
    (rules.module_state, "_CACHE: dict[str, int] = dict()"),
    (rules.module_state, "counter = 0"),
    (rules.module_state, "def f():\n    global x\n    x = 1"),
    (rules.module_state, "_NAMES = {'a': 1}\ndef f():\n    _NAMES.update(b=2)"),
    (rules.module_state, "@functools.lru_cache(maxsize=None)\ndef f(): ..."),
    (rules.module_state, "@cache\ndef f(): ..."),
    (rules.module_state, "print('hello')"),
    (rules.loose_tasks, "asyncio.create_task(f())"),
    (rules.loose_tasks, "from asyncio import gather"),
    (rules.loose_tasks, "self._loop.create_task(f())"),
    (rules.loose_tasks, "asyncio.get_running_loop().create_task(f())"),
    (rules.environment_reads, "import os\nos.environ['X']"),
    (rules.environment_reads, "from os import getenv as g\ng('X')"),
    (rules.environment_reads, "import os as o\ndef f():\n    return o.getenv('X')"),
    (rules.clock_reads, "import time\ntime.time()"),
    (rules.clock_reads, "from time import monotonic\nmonotonic()"),
    (rules.clock_reads, "from datetime import datetime, UTC\ndatetime.now(UTC)"),
    (rules.clock_reads, "import datetime\ndatetime.datetime.now()"),
    (rules.broad_excepts, "def f():\n    try: g()\n    except Exception: pass"),
    (rules.broad_excepts, "def f():\n    try: g()\n    except: pass"),
    (rules.broad_excepts, "def f():\n    with contextlib.suppress(Exception): g()"),
    (rules.broad_excepts, "def f():\n    try: g()\n    except (ValueError, BaseException): pass"),
    (rules.undocumented, '"""Doc."""\nclass X: ...'),
]


@pytest.mark.parametrize(("rule", "text"), _PLANTS)
def test_a_plant_is_caught(rule: Callable[[SourceFile], Iterator[str]], text: str) -> None:
    assert len(list(rule(SourceFile("lambent/model/planted.py", text)))) == 1


_FINE = [
    (rules.many_parameters, "def f(self, a, b, c, d, e, f): ..."),
    (rules.banned_names, "class DatabaseWriter: ..."),
    (rules.module_state, '_TABLE = {"a": 1}\n_LOG = logging.getLogger(__name__)\nName = str | int\n__all__ = []'),
    (rules.loose_tasks, "async def f():\n    async with asyncio.TaskGroup() as group:\n        group.create_task(g())"),
    (rules.broad_excepts, "async def run(self):\n    try: g()\n    except Exception: log()"),
    (rules.broad_excepts, "def f():\n    try: g()\n    except BaseException:\n        clean()\n        raise"),
    (rules.clock_reads, "loop.time()"),
]


@pytest.mark.parametrize(("rule", "text"), _FINE)
def test_what_is_fine_passes(rule: Callable[[SourceFile], Iterator[str]], text: str) -> None:
    assert list(rule(SourceFile("lambent/model/planted.py", text))) == []


def test_a_crowded_folder_is_caught() -> None:
    files = [SourceFile(f"lambent/model/f{number}.py", "") for number in range(16)]
    assert len(list(rules.crowded_folders(files))) == 1


def test_programs_may_read_clock_and_environment() -> None:
    text = "import os, time\nos.environ, time.time()"
    file = SourceFile("lambent/environments/sandbox/launcher/planted.py", text)
    assert not [*rules.clock_reads(file), *rules.environment_reads(file)]
