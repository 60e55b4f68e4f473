"""Progress as a person sees it, and as a log does."""

from __future__ import annotations

import io
from typing import TYPE_CHECKING

from lambent.cli.uploads import ProgressBars

if TYPE_CHECKING:
    import pytest


class Terminal(io.StringIO):
    """Standard error that somebody watches."""

    def isatty(self) -> bool:
        """Say so."""
        return True


def test_a_bar_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = Terminal()
    monkeypatch.setattr("sys.stderr", seen)
    bars = ProgressBars()
    bars.show("download 0123", 50_000_000, 100_000_000)
    bars.show("download 0123", 50_000_000, 100_000_000)
    assert seen.getvalue().count("[###############...............]  50% 50.0 MB") == 1, "nothing is drawn twice"
    bars.say("layer 0123: unpacked")
    assert seen.getvalue().endswith("\r\033[Klayer 0123: unpacked\n")


def test_lines_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    seen = io.StringIO()
    monkeypatch.setattr("sys.stderr", seen)
    bars = ProgressBars()
    bars.show("download 0123", 1, 2)
    bars.show("empty", 0, 0)
    bars.say("layer 0123: unpacked")
    assert seen.getvalue() == "layer 0123: unpacked\n"
