"""What `lambent deploy` shows while it works: bars on a terminal, plain lines elsewhere; all on standard error."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.cli.deployment.stacks import Change

_WIDTH = 30
_SIGNS = {"Add": "+", "Modify": "~", "Remove": "-", "Import": "<"}
_REPLACEMENTS = {"True": "  (replaced)", "Conditional": "  (may be replaced)"}


def preview(stack: str, changes: list[Change]) -> str:
    """Return what a change set does, a line for each resource."""
    width = max(len(change.name) for change in changes)
    lines = [
        f"  {_SIGNS.get(change.action, change.action)} {change.name:<{width}}  {change.kind}"
        + (_REPLACEMENTS.get(change.replacement, "") if change.action == "Modify" else "")
        for change in changes
    ]
    counts = [
        f"{sum(change.action == action for change in changes)} {word}"
        for action, word in (("Add", "to add"), ("Modify", "to change"), ("Remove", "to remove"))
    ]
    return "\n".join((f"{stack}: {', '.join(counts)}", *lines))


class _Line:
    """The line that is rewritten on a terminal."""

    def __init__(self) -> None:
        self.is_watched = sys.stderr.isatty()
        self._shown = ""

    def show(self, text: str) -> None:
        if self.is_watched and text != self._shown:
            sys.stderr.write(f"\r\033[K{text}")
            sys.stderr.flush()
            self._shown = text

    def say(self, text: str) -> None:
        sys.stderr.write(f"\r\033[K{text}\n" if self._shown else f"{text}\n")
        sys.stderr.flush()
        self._shown = ""

    def clear(self) -> None:
        if self._shown:
            sys.stderr.write("\r\033[K")
            sys.stderr.flush()
            self._shown = ""


class DeploymentBar:
    """How many resources of a stack are done; where nobody watches, a line for each event."""

    def __init__(self) -> None:
        self._line = _Line()

    def show(self, event: dict[str, Any], done: int, total: int) -> None:
        """Say what happened to a resource."""
        status, name = event["ResourceStatus"], event["LogicalResourceId"]
        reason = event.get("ResourceStatusReason")
        if not self._line.is_watched or status.endswith("_FAILED"):
            self._line.say(f"{status:<27} {event['ResourceType']}  {name}" + (f": {reason}" if reason else ""))
        self._line.show(f"[{_bar(done, total)}] {done}/{total}  {status} {name}")

    def end(self) -> None:
        """Take the bar away."""
        self._line.clear()


class UploadBar:
    """How far uploads are."""

    def __init__(self) -> None:
        self._line = _Line()

    def counting(self, key: str, total: int) -> Callable[[int], None]:
        """Return what is told the number of bytes that have gone since it was told last."""
        sent = 0

        def count(size: int) -> None:
            nonlocal sent
            sent += size
            self._line.show(f"upload {key[:12]} [{_bar(sent, total)}] {sent / 1_000_000:,.1f} MB")

        return count

    def end(self, key: str, size: int) -> None:
        """Say that one is done."""
        self._line.say(f"uploaded {key[:12]}, {size:,} bytes")


def _bar(done: int, total: int) -> str:
    filled = round(_WIDTH * done / total) if total else _WIDTH
    return "#" * filled + "." * (_WIDTH - filled)
