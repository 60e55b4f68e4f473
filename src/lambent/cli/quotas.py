"""`lambent quotas list | set NAME VALUE`: reads and changes /_lambent/v1/quotas, signed like any call."""

from __future__ import annotations

import json
import urllib.parse
from typing import TYPE_CHECKING, Any

from lambent.cli.calling import called
from lambent.cli.failure import CommandError

if TYPE_CHECKING:
    import argparse

_PATH = "/_lambent/v1/quotas"
_DEFAULT = "default"


def run_quotas(parsed: argparse.Namespace) -> int:
    """Print all quotas of the caller's account and region as a table, or set one and print it; return 0.

    Raises:
        CommandError: the server cannot be reached or refuses, or VALUE is no number.
    """
    if parsed.action == "list":
        with called(parsed, _PATH) as answer:
            quotas = json.loads(answer.read())["Quotas"]
        if parsed.json:
            print(json.dumps(quotas, indent=1))
        else:
            _print_table(quotas)
        return 0
    body = json.dumps({"Value": _number(parsed.value)}).encode()
    path = f"{_PATH}/{urllib.parse.quote(parsed.name, safe='')}"
    with called(parsed, path, method="PUT", body=body) as answer:
        print(answer.read().decode(), end="")
    return 0


def _number(text: str) -> int | None:
    if text == _DEFAULT:
        return None
    try:
        return int(text)
    except ValueError:
        raise CommandError(f"VALUE is a whole number or the word {_DEFAULT}, not {text!r}.") from None


def _print_table(quotas: list[dict[str, Any]]) -> None:
    rows = [(one["Name"], f"{one['Value']:,}", f"{one['Default']:,}", one["Kind"]) for one in quotas]
    rows.insert(0, ("NAME", "VALUE", "DEFAULT", "KIND"))
    widths = [max(len(row[column]) for row in rows) for column in range(4)]
    for name, value, default, kind in rows:
        print(f"{name:<{widths[0]}}  {value:>{widths[1]}}  {default:>{widths[2]}}  {kind}")
