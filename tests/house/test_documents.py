"""What the documents say exists, and what exists is in the documents."""

from __future__ import annotations

import argparse
import re
import subprocess
import sys
import tomllib
from typing import TYPE_CHECKING

import pytest

from lambent.cli.commands import parser
from lambent.model import errors
from lambent.model.quotas import QUOTAS
from lambent.settings import table
from tests.house.source_tree import ROOT, SOURCE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.house.source_tree import SourceTree


def _rooms(tree: SourceTree) -> set[str]:
    return {file.room for file in tree.files if file.room and file.room != "__main__"}


def test_the_map_equals_the_folders(source_tree: SourceTree) -> None:
    text = source_tree.by_module["lambent"].text
    listed = set(re.findall(r"^\s*(\w+)  +\S", text, re.MULTILINE))
    assert listed == _rooms(source_tree)


def test_every_room_is_in_the_architecture(source_tree: SourceTree) -> None:
    text = (ROOT / "ARCHITECTURE.md").read_text()
    assert [room for room in _rooms(source_tree) if f"`{room}" not in text] == []


def test_every_room_says_what_it_owns_does_and_never_does(source_tree: SourceTree) -> None:
    for file in source_tree.files:
        if file.is_package and file.module.count(".") == 1:
            assert file.text.startswith('"""'), file.path
            docstring = file.text.split('"""')[1]
            assert "Never" in docstring, file.path
            assert docstring.count("\n") <= 7, file.path


def test_generated_parts_are_as_the_code_says() -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "docs", "--check"], check=True, cwd=ROOT)


def test_every_setting_quota_and_error_is_documented() -> None:
    settings, quotas, kinds = ((ROOT / "docs" / f"{name}.md").read_text() for name in ("settings", "quotas", "errors"))
    assert [row.name for row in table() if f"`{row.name}`" not in settings] == []
    assert [one.name for one in QUOTAS if f"`{one.name}`" not in quotas] == []
    names = [name for name in vars(errors) if name.endswith("Error") and name != "LambdaError"]
    assert [name for name in names if f"`{name}`" not in kinds] == []


def test_every_setting_has_an_effect(source_tree: SourceTree) -> None:
    others = "\n".join(file.text for file in source_tree.files if file.room != "settings" and not file.is_generated)
    idle = []
    for row in table():
        section, _, name = row.name.rpartition(".")
        pattern = rf"\b{section}\.{name}\b|\bsettings\.{name}\b"
        idle += [] if re.search(pattern, others) else [row.name]
    assert idle == []


def _commands(top: argparse.ArgumentParser, words: str) -> Iterator[tuple[str, list[str]]]:
    options = []
    for action in top._actions:
        if isinstance(action, argparse._SubParsersAction):
            for name, inner in action.choices.items():
                yield from _commands(inner, f"{words} {name}")
        else:
            options += [option for option in action.option_strings if option.startswith("--") and option != "--help"]
    yield words, options


def test_every_command_and_option_is_documented() -> None:
    text = (ROOT / "docs" / "commands.md").read_text()
    missing = []
    for words, options in _commands(parser(), "lambent"):
        missing += [words] if words not in text else []
        missing += [option for option in options if f"`{option}" not in text]
    assert missing == []


def test_every_dependency_has_its_reason() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["dev"]]
    for extra in project["project"]["optional-dependencies"].values():
        wanted += extra
    text = (ROOT / "docs" / "dependencies.md").read_text()
    names = [re.split(r"[=<>\[ ]", one, maxsplit=1)[0] for one in wanted]
    assert [name for name in names if f"`{name}`" not in text] == []


# Entries of the data directory, not of the tree.
_DATA_ENTRIES = frozenset(
    {
        "keys/",
        "zips/",
        "code/",
        "layers/",
        "logs/",
        "spool/",
        "run/",
        "tmp-images/",
        "launcher/",
        "neighbours/",
        "java/",
    }
)
_DOCUMENTS = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")])


@pytest.mark.parametrize("path", _DOCUMENTS, ids=lambda path: path.name)
def test_links_lead_somewhere(path: Path) -> None:
    targets = re.findall(r"\]\(([^)#]+)(?:#[^)]*)?\)", path.read_text())
    assert [one for one in targets if "://" not in one and not (path.parent / one).exists()] == []


@pytest.mark.parametrize("path", _DOCUMENTS, ids=lambda path: path.name)
def test_code_names_exist(source_tree: SourceTree, path: Path) -> None:
    """Every path and every class in backquotes is there; AWS's words are found in the generated shapes."""
    words = _source_words(source_tree)
    missing = []
    for token in re.findall(r"`([^`\n]+)`", path.read_text()):
        if re.fullmatch(r"[\w./*-]+/[\w.*-]*", token) and not token.startswith(("/", "~", ".lambent", "http")):
            if token not in _DATA_ENTRIES and not _exists(token):
                missing.append(token)
        elif re.fullmatch(r"(?:[A-Z][a-z0-9]+){2,}(?:\.\w+)?", token):
            parts = token.split(".")
            missing += [token] if any(part not in words for part in parts) else []
    assert missing == []


def _exists(token: str) -> bool:
    places = (ROOT, SOURCE, SOURCE / "lambent")
    if "*" in token:
        return any(True for place in places for _ in place.glob(token.rstrip("/")))
    return any((place / token).exists() or (place / f"{token}.py").exists() for place in places)


def _source_words(tree: SourceTree) -> set[str]:
    words: set[str] = set()
    for file in tree.files:
        words |= set(re.findall(r"\w+", file.text))
    for path in (ROOT / "tests").rglob("*.py"):
        words |= set(re.findall(r"\w+", path.read_text()))
    return words


def test_every_promise_names_its_proof() -> None:
    text = (ROOT / "SPECIFICATION.md").read_text()
    rows = [line for line in text.splitlines() if re.match(r"\| [A-Z]\d+", line)]
    assert len(rows) >= 20
    for row in rows:
        proof = row.rstrip("| ").rpartition("|")[2]
        assert "pending" in proof or "`" in proof, row
        for token in re.findall(r"`([^`]+)`", proof):
            target, _, name = token.partition("::")
            assert (ROOT / target).exists(), token
            assert not name or f"def {name}" in (ROOT / target).read_text(), token


def test_unit_tests_mirror_the_source() -> None:
    unmatched = []
    for path in (ROOT / "tests" / "unit").rglob("test_*.py"):
        inner = path.relative_to(ROOT / "tests" / "unit")
        source = SOURCE / "lambent" / inner.parent / f"{path.stem.removeprefix('test_')}.py"
        if not source.exists():
            unmatched.append(str(inner))
    assert unmatched == []


def test_change_fragments_have_a_kind() -> None:
    kinds = {"added", "changed", "fixed", "removed", "security"}
    fragments = [path for path in (ROOT / "changes").iterdir() if path.name != "README.md"]
    assert [path.name for path in fragments if path.suffixes[-2:-1] != [f".{path.stem.rpartition('.')[2]}"]
            or path.stem.rpartition(".")[2] not in kinds] == []  # fmt: skip
