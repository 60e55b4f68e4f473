"""Which records of a source a mapping wants: its filter criteria, ready to be asked."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lambent.events.sources.filtering.patterns import Pattern

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lambent.events.sources.source import SourceRecord
    from lambent.model.configs.event_source import FilterCriteria


class Selection:
    """Immutable. `member` names the part of a record that its sender wrote (`body`, `data`, `value`); None: no such.

    That part is compared as JSON where a pattern has members for it, and as plain text where it has values for it. A
    record whose part is of the other form does not match.
    Source: developer guide, "Properly filtering Amazon SQS messages", "Properly filtering Kinesis data".
    """

    __slots__ = ("_member", "_patterns")

    def __init__(self, criteria: FilterCriteria | None, member: str | None) -> None:
        filters = (criteria.filters or ()) if criteria is not None else ()
        self._member = member
        self._patterns = tuple(Pattern(one.pattern) for one in filters if one.pattern is not None)

    def split(self, records: Iterable[SourceRecord]) -> tuple[list[SourceRecord], list[SourceRecord]]:
        """Return the records that are wanted, and the others, each in order."""
        wanted: list[SourceRecord] = []
        others: list[SourceRecord] = []
        for record in records:
            (wanted if self.wants(record) else others).append(record)
        return wanted, others

    def wants(self, record: SourceRecord) -> bool:
        """Whether one of the patterns matches, or there is none."""
        if not self._patterns:
            return True
        view = record.view
        return any(pattern.matches(self._seen_by(pattern, view)) for pattern in self._patterns)

    def _seen_by(self, pattern: Pattern, view: Mapping[str, Any]) -> Mapping[str, Any]:
        member = self._member
        if member is None or member not in pattern.members or not isinstance(view.get(member), str):
            return view
        decoded = _decoded(view[member])
        if isinstance(pattern.members[member], dict):
            return {**view, member: decoded}
        # A pattern of plain text, and a body that is JSON: no match.
        return view if not isinstance(decoded, dict | list) else {**view, member: None}


def _decoded(text: str) -> object:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
