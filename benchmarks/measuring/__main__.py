"""`benchmarks/run`: measures groups of rows, prints tables, writes JSON and, with --write-docs, the documentation."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring import (
    backlog,
    cold,
    control,
    events,
    extended,
    images,
    languages,
    machine,
    peers,
    report,
    sandboxes,
    schedules,
    sources,
    standing,
    streaming,
    warm,
)
from benchmarks.measuring.context import Context
from benchmarks.measuring.generator import LoadError, Programs
from benchmarks.measuring.rows import Row, missing

if TYPE_CHECKING:
    from collections.abc import Callable

# In this order: what is compared stands close together in time.
GROUPS: dict[str, Callable[[Context], list[Row]]] = {
    "warm": warm.rows,
    "control": control.rows,
    "streaming": streaming.rows,
    "telemetry": extended.rows,
    "peers": peers.rows,
    "cold": cold.rows,
    "languages": languages.rows,
    "images": images.rows,
    "churn": sandboxes.rows,
    "mixed": standing.mixed_rows,
    "start": standing.start_rows,
    "idle": standing.idle_rows,
    "crowd": standing.crowd_rows,
    "events": events.rows,
    "backlog": backlog.rows,
    "sources": sources.rows,
    "schedules": schedules.rows,
}


def main() -> int:
    """Measure; return 0 when every row that was asked for could be measured."""
    arguments = _parse()
    folder = Path(tempfile.mkdtemp(prefix="lambent-bench-run-"))
    folder.chmod(0o755)
    programs = Programs(folder)
    context = Context(
        programs, folder, arguments.seconds, arguments.colds, arguments.idle, arguments.listed,
        arguments.peers.resolve() if arguments.peers else None, arguments.backlog,
    )  # fmt: skip
    groups = arguments.only or list(GROUPS)
    try:
        programs.build()
        outcome = report.Outcome(machine.facts(), machine.load())
        for name in groups:
            print(f"… {name}", file=sys.stderr, flush=True)
            load_before = machine.load()["load_1m"]
            outcome.add(name, _measure(name, context), load_before)
        outcome.end = machine.load()
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    print(outcome.text())
    file = outcome.write_json(arguments.results)
    print(f"\nwritten: {file}")
    if arguments.write_docs:
        report.write_docs(outcome, Path(__file__).resolve().parents[2] / "docs" / "benchmarks.md")
    return 0


def _measure(name: str, context: Context) -> list[Row]:
    """Measure one group; a group that breaks is a row that says so, and the others go on."""
    begin = time.monotonic()
    try:
        found = GROUPS[name](context)
    except (LoadError, OSError, ValueError, KeyError) as error:
        found = [missing(name, name, "", f"{type(error).__name__}: {error}"[:500])]
    print(f"  {time.monotonic() - begin:.0f} s", file=sys.stderr, flush=True)
    return found


def _parse() -> argparse.Namespace:
    results = Path(__file__).resolve().parents[1] / "results"
    parser = argparse.ArgumentParser(prog="benchmarks/run", description=__doc__)
    parser.add_argument("--only", action="append", choices=tuple(GROUPS), help="a group; repeatable; default all")
    parser.add_argument("--seconds", type=int, default=8, help="how long a loaded row is measured (default 8)")
    parser.add_argument("--colds", type=int, default=40, help="first invokes of a cold row (default 40)")
    parser.add_argument(
        "--idle", type=int, default=0, help="environments of the memory row, e.g. 1000 (default 0: left out)"
    )
    parser.add_argument("--listed", type=int, default=1_000, help="functions listed in the mixed row (target: 10000)")
    parser.add_argument("--backlog", type=int, default=50_000, help="events that wait at a start (target: 1000000)")
    parser.add_argument("--peers", type=Path, help="the folder that benchmarks/peers/setup filled")
    parser.add_argument("--results", type=Path, default=results, help="where the JSON goes")
    parser.add_argument("--write-docs", action="store_true", help="put the tables into docs/benchmarks.md")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
