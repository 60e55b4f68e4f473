"""Segments of logs on disk."""

from __future__ import annotations

import errno
import os
from typing import TYPE_CHECKING

import pytest

from lambent.observability.log_format import LogGroup, encode
from lambent.observability.logs import LogStore

if TYPE_CHECKING:
    from pathlib import Path

_GROUP = LogGroup("1" * 12, "eu-west-1", "/aws/lambda/hello")
_MIB = 1024 * 1024


def _store(path: Path, bytes_max: int = 16 * _MIB) -> LogStore:
    store = LogStore(path, bytes_max)
    store.load()
    return store


def _all_lines(store: LogStore, group: LogGroup = _GROUP) -> list[bytes]:
    lines = []
    for _, _, path in store.segments_of(group.directory):
        offset = 0
        while True:
            records, following = store.read(path, offset)
            if following == offset:
                break
            offset = following
            lines += [record.lines for record in records]
    return lines


def test_what_was_appended_is_read_in_order(tmp_path: Path) -> None:
    store = _store(tmp_path)
    for number in range(5):
        store.append(_GROUP, encode(number, "hello", "s", b"line %d\n" % number), number)
    assert _all_lines(store) == [b"line %d\n" % number for number in range(5)]
    store.close()


def test_a_restart_finds_the_logs_and_appends_to_new_files(tmp_path: Path) -> None:
    first = _store(tmp_path)
    first.append(_GROUP, encode(1, "hello", "s", b"before\n"), 1)
    [(_, _, path)] = first.segments_of(_GROUP.directory)
    first.close()
    with (tmp_path / path).open("ab") as file:
        file.write(encode(2, "hello", "s", b"cut by a crash\n")[:-4])
    second = _store(tmp_path)
    second.append(_GROUP, encode(3, "hello", "s", b"after\n"), 3)
    assert _all_lines(second) == [b"before\n", b"after\n"]
    assert second.total_bytes == sum(file.stat().st_size for file in tmp_path.rglob("*.log"))
    second.close()


def test_the_oldest_segments_go_when_the_bound_is_reached(tmp_path: Path) -> None:
    store = _store(tmp_path, _MIB)
    other = LogGroup("1" * 12, "eu-west-1", "/aws/lambda/quiet")
    store.append(other, encode(0, "quiet", "s", b"old\n"), 0)
    for number in range(1, 41):
        store.append(_GROUP, encode(number, "hello", "s", b"%05d" % number + b"x" * 65_000 + b"\n"), number)
    sizes = sum(file.stat().st_size for file in tmp_path.rglob("*.log"))
    assert store.total_bytes == sizes <= _MIB
    assert store.dropped_bytes > _MIB
    assert _all_lines(store)[-1].startswith(b"00040")
    assert _all_lines(store, other) == []
    assert not (tmp_path / other.directory).exists()
    store.close()


def test_more_groups_than_open_files(tmp_path: Path) -> None:
    store = _store(tmp_path)
    groups = [LogGroup("1" * 12, "eu-west-1", f"g{number}") for number in range(200)]
    for turn in range(2):
        for group in groups:
            store.append(group, encode(turn, "f", "s", b"turn %d\n" % turn), turn)
    assert all(_all_lines(store, group) == [b"turn 0\n", b"turn 1\n"] for group in groups)
    store.close()


def test_a_full_disk_leaves_nothing_half_written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    store = _store(tmp_path)
    store.append(_GROUP, encode(1, "hello", "s", b"whole\n"), 1)
    real_write = os.write

    def full(descriptor: int, data: bytes) -> int:
        if len(data) > 10:
            return real_write(descriptor, data[:10])
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(OSError, match="No space"):
        store.append(_GROUP, encode(2, "hello", "s", b"lost\n")[:15], 2)
    monkeypatch.undo()
    store.append(_GROUP, encode(3, "hello", "s", b"again\n"), 3)
    assert _all_lines(store) == [b"whole\n", b"again\n"]
    store.close()


def test_a_record_larger_than_a_read(tmp_path: Path) -> None:
    store = _store(tmp_path, 64 * _MIB)
    large = b"y" * (3 * _MIB) + b"\n"
    store.append(_GROUP, encode(1, "hello", "s", large) + encode(1, "hello", "s", b"small\n"), 1)
    assert _all_lines(store) == [large, b"small\n"]
    store.close()


def test_reading_a_dropped_segment_is_empty(tmp_path: Path) -> None:
    assert _store(tmp_path).read("1/2/3/000000000000000-000000000.log", 0) == ([], 0)
