"""The outcome of a run as text, as JSON and as the tables of docs/benchmarks.md."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from benchmarks.measuring.rows import Row

QUIET_LOAD_MAX = 1.0
_BEGIN = "<!-- figures: written by benchmarks/run --write-docs -->"
_END = "<!-- end of figures -->"


@dataclass
class Outcome:
    """Everything one run has measured. `start` and `end` are machine.load() before and after."""

    facts: dict[str, object]
    start: dict[str, float]
    end: dict[str, float] = field(default_factory=dict)
    groups: dict[str, list[Row]] = field(default_factory=dict)
    loads: dict[str, float] = field(default_factory=dict)

    def add(self, name: str, rows: list[Row], load_before: float) -> None:
        """Keep a group's rows and the load average of the minute before them."""
        self.groups[name] = rows
        self.loads[name] = load_before

    def rows(self) -> list[Row]:
        """Return all rows."""
        return [row for group in self.groups.values() for row in group]

    def machine_line(self) -> str:
        """Say where and under what load this was measured."""
        facts, quiet = self.facts, self.start["load_1m"] <= QUIET_LOAD_MAX
        state = "quiet" if quiet else "BUSY with other work: absolute figures are too bad, ratios a direction only"
        return (
            f"{facts['when']}, revision {facts['revision']}, {facts['processor']}, {facts['cores']} cores, "
            f"{facts['memory_mib']} MiB, Linux {facts['kernel']}, Python {facts['python']}; "
            f"load average before the run {self.start['load_1m']:.2f} ({state})"
        )

    def text(self) -> str:
        """Return all tables in Markdown."""
        loads = ", ".join(f"{name} {load:.1f}" for name, load in self.loads.items())
        quiet = "Load average before each group (what ran before it included): " + loads + "."
        parts = [
            self.machine_line(),
            "",
            quiet,
            "",
            *_table(self.rows()),
            "",
            *self._ratios(),
            "",
            *_cpu_table(self.rows()),
        ]
        notes = [f"- {row.what}: {row.note}" for row in self.rows() if row.note]
        return "\n".join([*parts, "", *(["Notes:", "", *notes] if notes else [])])

    def write_json(self, folder: Path) -> Path:
        """Write a file named by the time and return it."""
        folder.mkdir(parents=True, exist_ok=True)
        file = folder / f"{str(self.facts['when']).replace(':', '')}.json"
        groups = {
            name: [asdict(row) | {"verdict": row.verdict()} for row in rows] for name, rows in self.groups.items()
        }
        content = {
            "machine": self.facts,
            "load_start": self.start,
            "load_end": self.end,
            "load_before_group": self.loads,
            "groups": groups,
        }
        file.write_text(json.dumps(content, indent=1) + "\n")
        return file

    def _ratios(self) -> list[str]:
        """Compare with the floor and the peers of the same run."""
        found = {row.key: row for row in self.rows() if row.value is not None}
        lines = []
        for ours, other, words in (
            ("warm_p50", "echo_p50", "warm p50 over the C echo's"),
            ("echo_throughput", "throughput", "the C echo's throughput over ours"),
        ):
            if ours in found and other in found:
                lines.append(f"- {words}: {_value(found, ours) / _value(found, other):.1f}")
        lines += self._peer_ratios(found)
        return ["Ratios in this run:", "", *lines] if lines else []

    def _peer_ratios(self, found: dict[str, Row]) -> list[str]:
        lines = []
        for ours, clients, words in (
            ("throughput", " 64", "throughput at 64 clients"),
            ("warm_p50", " 1", "p50 at 1 client"),
        ):
            peers = [
                row
                for key, row in found.items()
                if key.startswith("peer ") and key.endswith(clients) and "cold" not in key
            ]
            # A canned answer, or the answer to another call, is listed but is no peer.
            real = [row for row in peers if "canned" not in row.key and not row.note]
            if ours not in found or not real:
                continue
            best = (max if found[ours].is_high_good else min)(real, key=lambda row: row.value or 0.0)
            assert best.value is not None
            factor = _value(found, ours) / best.value if found[ours].is_high_good else best.value / _value(found, ours)
            lines.append(
                f"- {words}: {factor:.1f} times the best peer's ({best.what}: {_number(best.value)} {best.unit})"
            )
        return lines


def _value(found: dict[str, Row], key: str) -> float:
    value = found[key].value
    assert value is not None
    return value


def _number(value: float | None) -> str:
    if value is None:
        return "-"
    if value >= 1000:
        return f"{value:,.0f}"
    return f"{value:.3g}" if value < 100 else f"{value:.0f}"


def _table(rows: list[Row]) -> list[str]:
    lines = ["| what | measured | unit | target | floor | verdict |", "|---|---:|---|---:|---:|---|"]
    for row in rows:
        target = "" if row.target is None else _number(row.target)
        floor = "" if row.floor is None else _number(row.floor)
        lines.append(f"| {row.what} | {_number(row.value)} | {row.unit} | {target} | {floor} | {row.verdict()} |")
    return lines


def _cpu_table(rows: list[Row]) -> list[str]:
    """Who used the processor, for every row that was watched."""
    watched = [(row.what, cpu) for row in rows if isinstance(cpu := row.detail.get("cpu_us_per_call"), dict)]
    if not watched:
        return []
    roles = sorted({role for _, cpu in watched for role in cpu})
    lines = [
        "µs of CPU a call, by process:",
        "",
        f"| row | {' | '.join(roles)} | sum |",
        "|---|" + "---:|" * (len(roles) + 1),
    ]
    for what, cpu in watched:
        cells = [f"{cpu[role]:.1f}" if role in cpu else "" for role in roles]
        lines.append(f"| {what} | {' | '.join(cells)} | {sum(cpu.values()):.0f} |")
    return lines


def write_docs(outcome: Outcome, file: Path) -> None:
    """Replace what stands between the two marks of the document."""
    text = file.read_text()
    before, _, rest = text.partition(_BEGIN)
    _, _, after = rest.partition(_END)
    file.write_text(f"{before}{_BEGIN}\n\n{outcome.text()}\n\n{_END}{after}")
