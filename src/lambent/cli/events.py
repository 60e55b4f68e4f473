"""`lambent events queues | peek | redrive | drop | sources`: operations below /_lambent/v1, signed like any call."""

from __future__ import annotations

import json
import sys
import urllib.parse
from typing import TYPE_CHECKING, Any

from lambent.cli.calling import called
from lambent.cli.failure import CommandError

if TYPE_CHECKING:
    import argparse

_PATH = "/_lambent/v1/events"
_METRICS = "/_lambent/v1/metrics"
_COLUMNS = ("queued", "in_flight", "received", "succeeded", "dropped", "dead_lettered")


def run_events(parsed: argparse.Namespace) -> int:
    """Do what the words say and print the outcome; return 0.

    Raises:
        CommandError: the server cannot be reached or refuses, or nobody confirmed.
    """
    if parsed.action == "queues":
        answer = _call(parsed, "/queues")
        if parsed.json:
            print(json.dumps(answer["queues"], indent=1))
        else:
            _print_table(answer["queues"])
    elif parsed.action == "peek":
        answer = _call(parsed, _queue(parsed.function), parameters={"limit": str(parsed.limit)})
        for event in answer["events"]:
            print(json.dumps(event))
    elif parsed.action == "sources":
        _print_sources(parsed)
    elif parsed.action == "redrive":
        body = {"queue": parsed.queue, "function": parsed.function, "limit": parsed.limit}
        print(_call(parsed, "/redrive", method="POST", body=json.dumps(body).encode())["redriven"])
    else:
        _confirm(parsed)
        print(_call(parsed, _queue(parsed.function), method="DELETE")["dropped"])
    return 0


def _call(
    parsed: argparse.Namespace,
    path: str,
    *,
    parameters: dict[str, str] | None = None,
    method: str = "GET",
    body: bytes = b"",
) -> dict[str, Any]:
    with called(parsed, _PATH + path, parameters=parameters, method=method, body=body) as answer:
        found: dict[str, Any] = json.loads(answer.read())
        return found


def _queue(function: str) -> str:
    return f"/queues/{urllib.parse.quote(function, safe='')}"


def _confirm(parsed: argparse.Namespace) -> None:
    """Let a person say yes: what is dropped is gone."""
    if parsed.yes:
        return
    if not sys.stdin.isatty():
        raise CommandError("dropped events are gone: say --yes, or confirm at a terminal.")
    counts = [one for one in _call(parsed, "/queues")["queues"] if one["function"] == parsed.function]
    queued = counts[0]["queued"] if counts else 0
    print(f"Drop {queued:,} events of {parsed.function}? They are gone then. [y/N] ", end="", flush=True)
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise CommandError("nothing was dropped.")


def _print_sources(parsed: argparse.Namespace) -> None:
    with called(parsed, _METRICS) as answer:
        found: dict[str, dict[str, Any]] = json.loads(answer.read())["event_source_mappings"]
    if parsed.json:
        print(json.dumps(found, indent=1))
        return
    for mapping_id, figures in found.items():
        print(f"{mapping_id}  {figures['function']}")
        for name in sorted(figures.keys() - {"function"}):
            print(f"  {name:<44}{figures[name]:>14,.0f}")


def _print_table(queues: list[dict[str, Any]]) -> None:
    rows = [("FUNCTION", *(column.upper().replace("_", " ") for column in _COLUMNS), "OLDEST")]
    for one in queues:
        age = one["oldest_age_seconds"]
        counts = (f"{one[column]:,}" for column in _COLUMNS)
        rows.append((one["function"], *counts, "" if age is None else f"{age:,.0f} s"))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    for name, *rest in rows:
        aligned = (f"{text:>{width}}" for text, width in zip(rest, widths[1:], strict=True))
        print("  ".join((f"{name:<{widths[0]}}", *aligned)))
