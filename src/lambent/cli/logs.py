"""`lambent logs NAME [--follow] [--since]`: reads GET /_lambent/v1/logs, signed like any call."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from lambent.cli.calling import called

if TYPE_CHECKING:
    import argparse

_PATH = "/_lambent/v1/logs"


def print_logs(parsed: argparse.Namespace) -> int:
    """Print the function's lines, oldest first, each with its time; return 0.

    Raises:
        CommandError: the server cannot be reached or refuses.
    """
    parameters = {"function": parsed.name}
    if parsed.since:
        parameters["since"] = parsed.since
    if parsed.follow:
        parameters["follow"] = "true"
    with called(parsed, _PATH, parameters=parameters) as answer:
        while line := answer.readline():
            _print_line(line)
    return 0


def _print_line(line: bytes) -> None:
    entry = json.loads(line)
    moment = datetime.fromtimestamp(entry["time"] / 1000, UTC)
    print(f"{moment.isoformat(timespec='milliseconds').replace('+00:00', 'Z')} {entry['message']}", flush=True)
