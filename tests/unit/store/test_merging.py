"""Several trees as one: order, hard links, kinds that differ, links that lead nowhere else, crashes."""

from __future__ import annotations

import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lambent.store.merging import merge_trees


def tree(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if text.startswith("->"):
            path.symlink_to(text[2:])
        else:
            path.write_text(text)
    return root


def shown(root: Path) -> dict[str, str]:
    """Return every file and link below a directory."""
    found = {}
    for path in sorted(root.rglob("*")):
        if path.is_symlink():
            found[str(path.relative_to(root))] = f"->{path.readlink()}"
        elif path.is_file():
            found[str(path.relative_to(root))] = path.read_text()
    return found


def test_later_trees_win_and_files_are_shared(tmp_path: Path) -> None:
    first = tree(tmp_path / "1", {"both": "1", "deep/one": "1", "only": "1"})
    second = tree(tmp_path / "2", {"both": "2", "deep/two": "2"})
    merged = tmp_path / "layers" / "m"
    merged.parent.mkdir()
    merge_trees([first, second], merged)
    assert shown(merged) == {"both": "2", "deep/one": "1", "deep/two": "2", "only": "1"}
    assert (merged / "only").stat().st_ino == (first / "only").stat().st_ino
    assert shown(first) == {"both": "1", "deep/one": "1", "only": "1"}, "sources are as they were"


def test_a_file_a_directory_and_a_link_give_way_to_each_other(tmp_path: Path) -> None:
    first = tree(tmp_path / "1", {"a": "file", "b/inside": "1", "c": "->d", "d/kept": "1", "e": "file"})
    second = tree(tmp_path / "2", {"a/inside": "2", "b": "file", "c/inside": "2", "e": "->d"})
    merged = tmp_path / "m"
    merge_trees([first, second], merged)
    assert shown(merged) == {"a/inside": "2", "b": "file", "c/inside": "2", "d/kept": "1", "e": "->d"}
    assert shown(first)["d/kept"] == "1"
    assert not (first / "d" / "inside").exists(), "nothing is written through a link"


def test_what_is_there_stays_and_a_missing_source_leaves_nothing(tmp_path: Path) -> None:
    first = tree(tmp_path / "1", {"a": "1"})
    place = tmp_path / "layers"
    place.mkdir()
    merge_trees([first, first], place / "m")
    merge_trees([tmp_path / "none"], place / "m")
    assert shown(place / "m") == {"a": "1"}
    with pytest.raises(FileNotFoundError):
        merge_trees([first, tmp_path / "none"], place / "n")
    assert [path.name for path in place.iterdir()] == ["m"]


_NAMES = st.sampled_from(["a", "b", "c"])
_PATHS = st.lists(_NAMES, min_size=1, max_size=3).map("/".join)
_FILES = st.dictionaries(_PATHS, st.sampled_from(["1", "2", "->a", "->b/c", "->.."]), max_size=5)


def unpacked(files: dict[str, str]) -> dict[str, str]:
    """Return the entries that can lie in one tree: nothing is both a directory and something else."""
    return {name: text for name, text in files.items() if not any(other.startswith(f"{name}/") for other in files)}


def laid_over(below: dict[str, str], above: dict[str, str]) -> dict[str, str]:
    """Return what a merge must show, told by names alone."""
    hidden = {name for name in below for other in above if name.startswith(f"{other}/") or other.startswith(f"{name}/")}
    return {name: text for name, text in below.items() if name not in hidden} | above


@settings(max_examples=30, deadline=None)
@given(st.lists(_FILES.map(unpacked), min_size=1, max_size=4))
def test_any_trees(layers: list[dict[str, str]]) -> None:
    with tempfile.TemporaryDirectory() as directory:
        root = Path(directory)
        trees = [tree(root / str(number), files) for number, files in enumerate(layers)]
        for each in trees:
            each.mkdir(exist_ok=True)
        expected: dict[str, str] = {}
        for files in layers:
            expected = laid_over(expected, files)
        merge_trees(trees, root / "merged")
        assert shown(root / "merged") == expected
        for each, files in zip(trees, layers, strict=True):
            assert shown(each) == files
