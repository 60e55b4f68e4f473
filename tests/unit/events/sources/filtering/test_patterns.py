"""The pattern language, by a table: each line has a pattern, events that match it, and others that do not.

What is expected was compared, case by case, with AWS's own implementation of the language (event-ruler 1.7.3).
"""

from __future__ import annotations

import json
import time
from pathlib import Path
from typing import Any

import pytest

from lambent.events.sources.filtering.filters import is_pattern
from lambent.events.sources.filtering.patterns import Pattern

_LINES = Path(__file__).with_name("pattern_cases.jsonl").read_text().splitlines()
CASES = [
    (case["pattern"], event, is_match)
    for case in map(json.loads, _LINES)
    for events, is_match in ((case["matches"], True), (case["others"], False))
    for event in events
]


@pytest.mark.parametrize(("pattern", "event", "is_match"), CASES, ids=lambda value: json.dumps(value))
def test_table(pattern: Any, event: Any, is_match: bool) -> None:
    text = json.dumps(pattern)
    assert is_pattern(text)
    assert Pattern(text).matches(event) is is_match


def test_the_table_is_large() -> None:
    assert len(CASES) > 600


def test_a_wildcard_takes_linear_time() -> None:
    pattern = Pattern(json.dumps({"x": [{"wildcard": "*a" * 40 + "b"}]}))
    begun = time.process_time()
    assert not pattern.matches({"x": "a" * 20_000})
    assert time.process_time() - begun < 5, "an expression that looks back would take for ever"


@pytest.mark.parametrize("network", ["", "10.0.0.0", "10.0.0.0/33", "x/8", 5, None])
def test_networks_that_are_none(network: object) -> None:
    assert not is_pattern(json.dumps({"x": [{"cidr": network}]}))
