"""What a function's answer says of the records of its batch (`ReportBatchItemFailures`)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Collection


def named_item(identifier: object) -> str | None:
    """Return the id that an `itemIdentifier` means: most sources name their records by a text."""
    return identifier if isinstance(identifier, str) else None


def failed_items(
    payload: bytes, item_ids: Collection[str], item_of: Callable[[object], str | None] = named_item
) -> frozenset[str]:
    """Return the ids of the records that failed; all of them when the answer cannot be understood.

    `item_of` reads an `itemIdentifier`.

    Nothing, null, an empty list, an object without `batchItemFailures`, null or an empty list in it: none failed.
    Anything that is no list of objects with a known `itemIdentifier`: all.
    Source: developer guide, "Reporting batch item failures", "Success and failure conditions"; recorded
    (test_report_batch_item_failures_invalid_result_json_batch_fails,
    test_dynamodb_report_batch_item_success_scenarios).
    """
    everything = frozenset(item_ids)
    try:
        answer = json.loads(payload or b"null")
    except (ValueError, RecursionError):
        return everything
    if answer in (None, "", []):
        return frozenset()
    if not isinstance(answer, dict):
        return everything
    failures = answer.get("batchItemFailures")
    if failures is None:
        return frozenset()
    if not isinstance(failures, list):
        return everything
    found: set[str] = set()
    for one in failures:
        item_id = item_of(one.get("itemIdentifier")) if isinstance(one, dict) else None
        if item_id is None or item_id not in everything:
            return everything
        found.add(item_id)
    return frozenset(found)
