"""What doctor says of a running server: the calls of other services that no permission allows."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, NamedTuple

from lambent.cli.calling import called
from lambent.cli.failure import CommandError

if TYPE_CHECKING:
    from lambent.settings import Settings

_EVERYWHERE = frozenset({"0.0.0.0", "::"})


class Refused(NamedTuple):
    """Calls of one source that were refused, and the command that would permit them."""

    principal: str
    source_arn: str
    function_arn: str
    calls: int
    permission: str


def refused_calls(settings: Settings) -> list[Refused] | None:
    """Ask the server of these settings; None when none runs there, or it does not let us ask."""
    server = settings.server
    host = "127.0.0.1" if server.host in _EVERYWHERE else server.host
    url = f"{'https' if server.tls_cert else 'http'}://{host}:{server.port}"
    target = argparse.Namespace(endpoint_url=url, region=settings.account.region)
    try:
        with called(target, "/_lambent/v1/triggers/refusals") as answer:
            found = json.loads(answer.read())["refusals"]
    except (CommandError, ValueError, KeyError):
        return None
    return [Refused(**{name: one[name] for name in Refused._fields}) for one in found]


def as_text(refused: list[Refused]) -> list[str]:
    """Return the lines for people."""
    lines = ["calls that no permission allows"] if refused else []
    for one in refused:
        times = "once" if one.calls == 1 else f"{one.calls} times"
        lines.append(f"  {one.principal} ({one.source_arn or 'no source'}) called {one.function_arn} {times}; missing:")
        lines.append(f"    {one.permission}")
    return lines
