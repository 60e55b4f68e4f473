"""Skips that nobody notices are holes: with CI=true a skip fails unless tests/allowed_skips.toml says why it may be.

Each `[[skip]]` there has `reason` (a part of the skip's own text), `what`, `why` (why this machine cannot) and
`proven_by` (the command that proves it elsewhere); `test`, a pattern over test ids, narrows it.
"""

from __future__ import annotations

import fnmatch
import os
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from collections.abc import Generator

    from _pytest.terminal import TerminalReporter

ALLOWED = Path(__file__).parent / "allowed_skips.toml"
_MEMBERS = {"reason", "what", "why", "proven_by"}


@dataclass(frozen=True, slots=True)
class AllowedSkip:
    """One entry of the file."""

    reason: str
    what: str
    why: str
    proven_by: str
    test: str = "*"

    def covers(self, node_id: str, reason: str) -> bool:
        """Say whether a skip of `node_id` for `reason` is this one."""
        return self.reason in reason and fnmatch.fnmatchcase(node_id, self.test)


def read_allowed(path: Path = ALLOWED) -> tuple[AllowedSkip, ...]:
    """Read the file; an entry that leaves something out is a usage error."""
    entries = tomllib.loads(path.read_text()).get("skip", [])
    for entry in entries:
        missing = {name for name in _MEMBERS if not entry.get(name)}
        if missing:
            raise pytest.UsageError(f"{path.name}: an entry lacks {', '.join(sorted(missing))}: {entry}")
    return tuple(AllowedSkip(**entry) for entry in entries)


class SkipGuard:
    """Turns skips without an allowed reason into failures when `is_strict`; lists every skip at the end."""

    def __init__(self, allowed: tuple[AllowedSkip, ...], *, is_strict: bool) -> None:
        self._allowed = allowed
        self._is_strict = is_strict
        self._skips: list[tuple[str, str, AllowedSkip | None]] = []

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(self, item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """Judge the skips of tests."""
        report = yield
        if report.skipped and not hasattr(report, "wasxfail"):
            self._judge(report, item.nodeid)
        return report

    @pytest.hookimpl(wrapper=True)
    def pytest_make_collect_report(self) -> Generator[None, pytest.CollectReport, pytest.CollectReport]:
        """Judge the skips of whole files."""
        report = yield
        if report.skipped:
            self._judge(report, report.nodeid)
        return report

    def pytest_terminal_summary(self, terminalreporter: TerminalReporter) -> None:
        """Say what did not run, why, and what proves it elsewhere."""
        if not self._skips:
            return
        terminalreporter.section("did not run on this machine")
        for node_id, reason, entry in self._skips:
            tail = f"proven by: {entry.proven_by}" if entry else "not listed in tests/allowed_skips.toml"
            terminalreporter.write_line(f"{node_id}: {reason} [{tail}]")

    def _judge(self, report: pytest.TestReport | pytest.CollectReport, node_id: str) -> None:
        reason = _reason(report.longrepr)
        entry = next((entry for entry in self._allowed if entry.covers(node_id, reason)), None)
        self._skips.append((node_id, reason, entry))
        if entry is None and self._is_strict:
            report.outcome = "failed"
            report.longrepr = f"skipped ({reason}) and not listed in tests/allowed_skips.toml"


def is_strict() -> bool:
    """Say whether this run forgives no unlisted skip."""
    return os.environ.get("CI", "").lower() in ("1", "true")


def _reason(longrepr: object) -> str:
    text = str(longrepr[2]) if isinstance(longrepr, tuple) else str(longrepr)
    return text.removeprefix("Skipped: ")
