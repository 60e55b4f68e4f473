"""What a function's answer says of its batch. Source: developer guide, "Success and failure conditions"."""

from __future__ import annotations

import pytest

from lambent.events.sources.answers import failed_items

IDS = ["a", "b", "c"]


@pytest.mark.parametrize(
    "answer",
    [b"", b"null", b'""', b"[]", b"{}", b'{"other": 1}', b'{"batchItemFailures": null}', b'{"batchItemFailures": []}'],
)
def test_nothing_failed(answer: bytes) -> None:
    assert failed_items(answer, IDS) == frozenset()


@pytest.mark.parametrize(
    "answer",
    [
        b"no json",
        b"[1]",
        b"5",
        b'"text"',
        b'{"batchItemFailures": "a"}',
        b'{"batchItemFailures": {"itemIdentifier": "a"}}',
        b'{"batchItemFailures": [{"itemIdentifier": ""}]}',
        b'{"batchItemFailures": [{"itemIdentifier": null}]}',
        b'{"batchItemFailures": [{"itemIdentifier": 5}]}',
        b'{"batchItemFailures": [{"itemIdentifier": ["a"]}]}',
        b'{"batchItemFailures": [{"wrong": "a"}]}',
        b'{"batchItemFailures": [{"itemIdentifier": "a"}, {"itemIdentifier": "unknown"}]}',
        b'{"batchItemFailures": ["a"]}',
        b"[" * 100_000,
    ],
)
def test_all_failed(answer: bytes) -> None:
    assert failed_items(answer, IDS) == frozenset(IDS)


def test_some_failed() -> None:
    answer = b'{"batchItemFailures": [{"itemIdentifier": "c"}, {"itemIdentifier": "a"}, {"itemIdentifier": "a"}]}'
    assert failed_items(answer, IDS) == {"a", "c"}
