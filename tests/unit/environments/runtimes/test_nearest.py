"""Which interpreter serves an identifier."""

from __future__ import annotations

import pytest

from lambent.environments.runtimes.identifiers import IDENTIFIERS
from lambent.environments.runtimes.nearest import is_exact_version, nearest, parse_version, text_of, version_text
from lambent.environments.sandbox.sandbox import Interpreter, RuntimeFamily


def _python(version: str) -> Interpreter:
    return Interpreter(RuntimeFamily.PYTHON, f"/opt/{version}/bin/python3", version, (f"/opt/{version}",))


def _node(version: str) -> Interpreter:
    return Interpreter(RuntimeFamily.NODEJS, f"/opt/{version}/bin/node", version)


def _ruby(version: str) -> Interpreter:
    return Interpreter(RuntimeFamily.RUBY, f"/opt/{version}/bin/ruby", version, (f"/opt/{version}",))


def _java(version: str) -> Interpreter:
    return Interpreter(RuntimeFamily.JAVA, f"/opt/{version}/bin/java", version, (f"/opt/{version}",))


_FOUND = (_python("3.8.18"), _python("3.11.2"), _python("3.11.7"), _python("3.6.1"), _node("20.20.2"), _node("14.1.0"))


@pytest.mark.parametrize(
    ("runtime", "version"),
    [
        ("python3.11", "3.11.7"),
        ("python3.8", "3.8.18"),
        ("python3.7", "3.8.18"),
        ("python3.9", "3.8.18"),
        ("python3.10", "3.11.7"),
        ("python3.14", "3.11.7"),
        ("python2.7", None),
        ("nodejs20.x", "20.20.2"),
        ("nodejs14.x", "20.20.2"),
        ("nodejs24.x", "20.20.2"),
        ("java17", None),
    ],
)
def test_nearest(runtime: str, version: str | None) -> None:
    """The exact version's highest patch, else the nearest that our client supports."""
    found = nearest(IDENTIFIERS[runtime], _FOUND)
    assert (found and found.version) == version


def test_nearest_prefers_newer_at_equal_distance() -> None:
    """Code runs on a newer version more often than on an older one."""
    found = nearest(IDENTIFIERS["python3.10"], (_python("3.9.1"), _python("3.11.1")))
    assert found is not None
    assert found.version == "3.11.1"


@pytest.mark.parametrize(
    ("runtime", "version"),
    [
        ("ruby3.3", "3.3.6"),
        ("ruby3.2", "3.3.6"),
        ("ruby2.7", "3.1.2"),
        ("ruby2.5", "3.1.2"),
        ("ruby4.0", "3.4.1"),
    ],
)
def test_nearest_ruby(runtime: str, version: str) -> None:
    """A new major number is farther than any minor one."""
    found = nearest(IDENTIFIERS[runtime], (_ruby("3.1.2"), _ruby("3.3.6"), _ruby("3.4.1")))
    assert found is not None
    assert found.version == version


@pytest.mark.parametrize(
    ("runtime", "interpreter", "text"),
    [
        ("python3.11", _python("3.11.7"), "python:3.11.v7"),
        ("ruby3.3", _ruby("3.3.6"), "ruby:3.3.v6"),
        ("nodejs20.x", _node("20.1.2"), "nodejs:20.v1.2"),
        ("python3.11", _python("3.11"), "python:3.11.v0"),
    ],
)
def test_version_texts(runtime: str, interpreter: Interpreter, text: str) -> None:
    """INIT_START's words, with the true version."""
    assert version_text(IDENTIFIERS[runtime], interpreter) == text
    assert is_exact_version(IDENTIFIERS[runtime], interpreter)


def test_versions_are_numbers() -> None:
    """What is not a number ends it."""
    assert parse_version("3.11.7") == (3, 11, 7)
    assert parse_version("3.4.0rc1") == (3, 4, 0)
    assert parse_version("x") == ()
    assert text_of((3, 11)) == "3.11"
