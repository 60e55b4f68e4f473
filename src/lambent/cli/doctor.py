"""`lambent doctor`: what this machine can run, found out by trying, with or without a running server."""

from __future__ import annotations

import argparse
import json
from typing import TYPE_CHECKING, NamedTuple

from lambent.cli.calling import called
from lambent.cli.failure import CommandError
from lambent.settings import read_settings
from lambent.startup import diagnose

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.settings import Settings
    from lambent.startup import Diagnosis, RuntimeFinding

_LEVELS = {
    "L0": "none: functions are ordinary processes and see the whole machine",
    "L1": "namespaces of an ordinary user, seccomp, no capabilities; limits by a delegated cgroup or by watching",
    "L2": "all namespaces, a user id for each environment, cgroup limits, seccomp, no capabilities",
    "L3": "as L2, and a fresh process for each environment instead of a fork",
}
_EVERYWHERE = frozenset({"0.0.0.0", "::"})


class _Refused(NamedTuple):
    """Calls of one source that were refused, and the command that would permit them."""

    principal: str
    source_arn: str
    function_arn: str
    calls: int
    permission: str


def run_doctor(parsed: argparse.Namespace, flags: Mapping[str, str]) -> int:
    """Print the diagnosis as text, or with --json as one JSON object; return 0, whatever is missing.

    Raises:
        SettingError: a setting is unknown or wrong.
        CommandError: the machine cannot even be probed.
    """
    settings = read_settings(flags, config=parsed.config)
    try:
        diagnosis = diagnose(settings)
    except OSError as error:
        raise CommandError(f"this machine cannot be probed: {error}.") from error
    refused = _refused_calls(settings)
    if parsed.json:
        print(json.dumps(_as_json(diagnosis, refused), indent=1))
    else:
        print("\n".join([_as_text(diagnosis), *_refusals_as_text(refused or [])]))
    return 0


def _as_json(diagnosis: Diagnosis, refused: list[_Refused] | None) -> dict[str, object]:
    return {
        "isolation": {"level": diagnosis.isolation_level.value, "missing": dict(diagnosis.missing)},
        "runtimes": [one._asdict() for one in diagnosis.runtimes],
        "limits": dict(diagnosis.limits),
        "pools": dict(diagnosis.pools),
        "refused_calls": None if refused is None else [one._asdict() for one in refused],
    }


def _as_text(diagnosis: Diagnosis) -> str:
    level = diagnosis.isolation_level.value
    lines = [f"isolation  {level}: {_LEVELS[level]}"]
    lines += [f"missing    {feature}: {reason}" for feature, reason in sorted(diagnosis.missing.items())]
    lines.append("runtimes")
    lines += [f"  {one.identifier:<16} {_runtime(one)}" for one in diagnosis.runtimes if one.missing is None]
    absent: dict[str, list[str]] = {}
    for one in diagnosis.runtimes:
        if one.missing is not None:
            # The same reason for many identifiers is said once.
            absent.setdefault(one.missing.replace(one.identifier, "it"), []).append(one.identifier)
    lines += [f"  no {', '.join(names)}: {reason}" for reason, names in absent.items()]
    lines.append("limits")
    lines += [f"  {name:<24} {value:,}" for name, value in diagnosis.limits.items()]
    lines.append("waiting sandboxes for each runtime in use")
    lines += [f"  {name:<24} {value:,}" for name, value in diagnosis.pools.items()]
    return "\n".join(lines)


def _runtime(found: RuntimeFinding) -> str:
    if found.interpreter is None:
        return "whatever the package brings"
    nearest = " (the nearest version)" if found.is_nearest else ""
    return f"{found.interpreter} {found.version}{nearest}"


def _refused_calls(settings: Settings) -> list[_Refused] | None:
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
    return [_Refused(**{name: one[name] for name in _Refused._fields}) for one in found]


def _refusals_as_text(refused: list[_Refused]) -> list[str]:
    """Return the lines for people."""
    lines = ["calls that no permission allows"] if refused else []
    for one in refused:
        times = "once" if one.calls == 1 else f"{one.calls} times"
        lines.append(f"  {one.principal} ({one.source_arn or 'no source'}) called {one.function_arn} {times}; missing:")
        lines.append(f"    {one.permission}")
    return lines
