"""Peers, side by side: each alone in a network namespace without a way out, as an unprivileged user, on loopback.

This file is the program that runs inside the namespace (`python -m benchmarks.measuring.peers --folder F ...` under
`unshare --net`) and the rows that the run makes of its JSON. Peers that are not installed are named with the reason.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.measuring import codes, control
from benchmarks.measuring.daemon import Code, send_raw
from benchmarks.measuring.generator import Load, LoadError, LoadPlan, Programs
from benchmarks.measuring.rows import Row, missing
from benchmarks.measuring.signing import Caller, unsigned

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.measuring.context import Context

NOBODY = 65534
READY_SECONDS = 60.0
CLIENTS = 64
COLDS = 12
_INVOKE = "/2015-03-31/functions/{}/invocations"


@dataclass
class _Place:
    """Where one peer runs: its folder of this run, the programs, how long to measure."""

    folder: Path
    installed: Path
    programs: Programs
    seconds: int
    found: list[dict[str, object]] = field(default_factory=list)

    def start(self, command: list[str], more: dict[str, str]) -> subprocess.Popen[bytes]:
        """Start a peer as nobody, in a process group of its own, with almost no environment."""
        environment = {
            "PATH": "/usr/local/bin:/usr/bin:/bin",
            "HOME": str(self.folder),
            "TMPDIR": str(self.folder),
            **more,
        }
        account = NOBODY if os.geteuid() == 0 else None
        with (self.folder / "output").open("ab") as output:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env=environment,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=output,
                start_new_session=True,
                user=account,
                group=account,
                extra_groups=None if account is None else [],
            )

    def wait_port(self, port: int, process: subprocess.Popen[bytes]) -> None:
        """Return when something listens. Raises LoadError."""
        deadline = time.monotonic() + READY_SECONDS
        while time.monotonic() < deadline and process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", port), 1).close()
                return
            except OSError:
                time.sleep(0.05)
        raise LoadError(f"nothing listens: {self.tail()}")

    def tail(self) -> str:
        """Return the end of what the peer has said."""
        return (self.folder / "output").read_text(errors="replace")[-600:]

    def measure(self, peer: str, kind: str, port: int, requests: list[bytes], clients: int) -> None:
        """Send load and keep the figures."""
        self.programs.send(port, requests, LoadPlan(clients, 1, 1.0))
        load: Load = self.programs.send(port, requests, LoadPlan(clients, self.seconds, 0.5))
        entry: dict[str, object] = {"peer": peer, "kind": kind, "clients": clients}
        try:
            self.found.append(entry | {"load": load.check(peer).brief()})
        except LoadError as error:
            self.found.append(entry | {"why": str(error)[:300]})

    def control(self, peer: str, caller: Caller) -> None:
        """Keep the figures of its control plane."""
        try:
            found = control.measure(self.programs, caller, self.seconds)
        except LoadError as error:
            self.found.append({"peer": peer, "kind": "control", "why": str(error)[:300]})
        else:
            self.found.append({"peer": peer, "control": found})

    def first_invokes(self, peer: str, kind: str, caller: Caller, code: Code) -> None:
        """Create functions and keep the time of their first invokes."""
        names = [f"cold-{kind}-{number}" for number in range(COLDS)]
        for name in names:
            _create(caller, name, code)
        load = self.programs.send(caller.port, caller.first_invokes(names), LoadPlan(is_sequence=True, pause_ms=300))
        taken = load.check(peer).latencies_us
        self.found.append(
            {"peer": peer, "kind": f"cold {kind}", "clients": 1, "p50_ms": statistics.median(taken) / 1000}
        )


def _create(caller: Caller, name: str, code: Code) -> None:
    members = {"FunctionName": name, **code.members()}
    status, _, body = send_raw(
        caller.port, caller.request("POST", "/2015-03-31/functions", json.dumps(members).encode())
    )
    if status != 201:
        raise LoadError(f"CreateFunction: {status} {body[:300]!r}")


def _rie(place: _Place) -> None:
    """AWS's Runtime Interface Emulator: one function, one call at a time."""
    program = place.installed / "rie" / "aws-lambda-rie"
    (place.folder / "app.py").write_text("def handler(event, context):\n    return None\n")
    addresses = ["--runtime-interface-emulator-address", "127.0.0.1:8080", "--runtime-api-address", "127.0.0.1:9001"]
    command = [
        str(program),
        *addresses,
        str(place.installed / "python/bin/python"),
        "-m",
        "awslambdaric",
        "app.handler",
    ]
    process = place.start(command, {"AWS_LAMBDA_FUNCTION_TIMEOUT": "30", "LOG_LEVEL": "error"})
    try:
        place.wait_port(8080, process)
        place.measure("RIE with awslambdaric", "python", 8080, [unsigned(8080, _INVOKE.format("function"))], 1)
    finally:
        _end(process)


def _moto(place: _Place) -> None:
    """moto's server with its simple Lambda: a canned answer, no function runs."""
    process = place.start(
        [str(place.installed / "python/bin/moto_server"), "-H", "127.0.0.1", "-p", "5000"],
        {"MOTO_ACCOUNT_ID": "000000000000"},
    )
    try:
        place.wait_port(5000, process)
        send_raw(5000, unsigned(5000, "/moto-api/config", b'{"lambda": {"use_docker": false}}'))
        caller = Caller(5000, "AKIDBENCHMARK", "secret")
        _make_moto_role(caller)
        _create(caller, "hello", codes.python())
        for clients in (1, CLIENTS):
            place.measure("moto (canned answer)", "python", 5000, caller.invokes("hello"), clients)
        place.control("moto", caller)
    finally:
        _end(process)


def _make_moto_role(caller: Caller) -> None:
    """moto wants the role to exist."""
    form = b"Action=CreateRole&Version=2010-05-08&RoleName=benchmark&AssumeRolePolicyDocument=%7B%7D"
    credential = "AWS4-HMAC-SHA256 Credential=AKIDBENCHMARK/20260101/us-east-1/iam/aws4_request"
    head = (
        "POST / HTTP/1.1\r\nHost: iam.amazonaws.com\r\nContent-Type: application/x-www-form-urlencoded\r\n"
        f"Content-Length: {len(form)}\r\nAuthorization: {credential}, SignedHeaders=host, Signature=0\r\n\r\n"
    )
    send_raw(caller.port, head.encode() + form)


def _ministack(place: _Place) -> None:
    """ministack: functions as warm subprocesses, without isolation."""
    process = place.start(
        [str(place.installed / "python/bin/ministack")],
        {
            "BIND_HOST": "127.0.0.1",
            "GATEWAY_PORT": "4599",
            "LAMBDA_EXECUTOR": "local",
            "PERSIST_STATE": "0",
            "LOG_LEVEL": "ERROR",
        },
    )
    try:
        place.wait_port(4599, process)
        caller = Caller(4599, "AKIDBENCHMARK", "secret")
        for kind, code in (("python", codes.python()), ("node", codes.node())):
            _create(caller, f"hello-{kind}", code)
            for clients in (1, CLIENTS):
                place.measure("ministack", kind, 4599, caller.invokes(f"hello-{kind}"), clients)
            place.first_invokes("ministack", kind, caller, code)
        _create(caller, "hello", codes.python())
        place.control("ministack", caller)
    finally:
        _end(process)


_SERVERLESS = """
service: bench
frameworkVersion: "3"
provider: {name: aws, runtime: nodejs20.x, region: us-east-1, stage: dev}
plugins: [serverless-offline]
functions:
  node: {handler: app.handler}
  python: {handler: app_python.handler, runtime: python3.11}
custom: {serverless-offline: {host: 127.0.0.1, httpPort: 3000, lambdaPort: 3002, websocketPort: 3001, noTimeout: true}}
"""


def _serverless(place: _Place) -> None:
    """serverless-offline: Node.js in worker threads, Python in a subprocess."""
    modules = place.installed / "node" / "node_modules"
    (place.folder / "serverless.yml").write_text(_SERVERLESS)
    (place.folder / "package.json").write_text('{"name": "bench", "private": true}')
    (place.folder / "app.js").write_text("exports.handler = async (event) => ({ n: event.n });\n")
    # Not None: its Python runner waits for ever for an answer that is false.
    (place.folder / "app_python.py").write_text("def handler(event, context):\n    return {'n': event.get('n')}\n")
    (place.folder / "node_modules").symlink_to(modules)
    node = shutil.which("node") or "node"
    process = place.start(
        [node, str(modules / "serverless/bin/serverless.js"), "offline", "start"],
        {"SLS_TELEMETRY_DISABLED": "1", "SLS_NOTIFICATIONS_MODE": "off", "SLS_INTERACTIVE_SETUP_ENABLE": "0", "CI": "1",
         "AWS_ACCESS_KEY_ID": "x", "AWS_SECRET_ACCESS_KEY": "x"},
    )  # fmt: skip
    try:
        place.wait_port(3002, process)
        for kind in ("node", "python"):
            path = _INVOKE.format(f"bench-dev-{kind}")
            requests = [unsigned(3002, path, b'{"n": %d}' % number) for number in range(CLIENTS)]
            for clients in (1, CLIENTS):
                place.measure("serverless-offline", kind, 3002, requests, clients)
            wrong = _wrong_answers(3002, path)
            if wrong:
                place.found[-1]["wrong"] = f"{wrong:.0%} of parallel calls got the answer to another call"
    finally:
        _end(process)


def _wrong_answers(port: int, path: str) -> float:
    """Return the share of parallel calls that are answered with what another call asked for."""

    def ask(number: int) -> bool:
        _, _, body = send_raw(port, unsigned(port, path, b'{"n": %d}' % number))
        return bool(json.loads(body) != {"n": number})

    with ThreadPoolExecutor(16) as threads:
        wrong = list(threads.map(ask, range(320)))
    return sum(wrong) / len(wrong)


def _end(process: subprocess.Popen[bytes]) -> None:
    """Stop a peer and what it started: the process group is its own."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
        try:
            process.wait(5)
        except subprocess.TimeoutExpired:
            continue
    process.wait()


_PEERS: dict[str, tuple[str, Callable[[_Place], None]]] = {
    "rie": ("rie/aws-lambda-rie", _rie),
    "moto": ("python/.complete", _moto),
    "ministack": ("python/.complete", _ministack),
    "serverless-offline": ("node/.complete", _serverless),
}


def main() -> None:
    """Run inside the namespace: measure every installed peer and print a list of findings."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--programs", type=Path, required=True)
    parser.add_argument("--seconds", type=int, default=5)
    parser.add_argument("--only", action="append")
    arguments = parser.parse_args()
    subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
    found: list[dict[str, object]] = []
    for name, (needed, measure) in _PEERS.items():
        if arguments.only and name not in arguments.only:
            continue
        if not (arguments.folder / needed).exists():
            reason = arguments.folder / f"{needed.split('/')[0]}.left-out"
            found.append({"peer": name, "why": reason.read_text().strip() if reason.exists() else "not installed"})
            continue
        folder = Path(tempfile.mkdtemp(prefix="lambent-peer-"))
        folder.chmod(0o777)
        place = _Place(folder, arguments.folder, Programs(arguments.programs), arguments.seconds, found)
        try:
            measure(place)
        except (LoadError, OSError, ValueError) as error:
            found.append({"peer": name, "why": f"{type(error).__name__}: {error} {place.tail()}"[:800]})
        finally:
            shutil.rmtree(folder, ignore_errors=True)
    print(json.dumps(found))


def rows(context: Context) -> list[Row]:
    """Rows of all peers; empty without a folder of peers."""
    if context.peers is None:
        return [missing("peers", "peers", "", "no folder given: benchmarks/peers/setup FOLDER, then --peers FOLDER")]
    isolate = ["unshare", "--net"] if os.geteuid() == 0 else ["unshare", "--map-root-user", "--net"]
    command = [*isolate, sys.executable, "-m", "benchmarks.measuring.peers", "--folder", str(context.peers),
               "--programs", str(context.folder), "--seconds", str(context.seconds)]  # fmt: skip
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        return [missing("peers", "peers", "", done.stderr.strip()[-400:])]
    return [row for entry in json.loads(done.stdout) for row in _rows_of(entry)]


def _rows_of(entry: dict[str, object]) -> list[Row]:
    peer, kind, clients = str(entry["peer"]), str(entry.get("kind", "")), entry.get("clients")
    key = f"peer {peer} {kind} {clients}"
    if "why" in entry:
        return [missing(key, f"{peer} {kind}", "", str(entry["why"]))]
    if "control" in entry:
        return control.parse(entry)
    if "p50_ms" in entry:
        return [Row(key, f"{peer}, {kind}: p50 of the first invoke", float(str(entry["p50_ms"])), "ms", detail=entry)]
    load, note = entry["load"], str(entry.get("wrong", ""))
    assert isinstance(load, dict)
    if clients == 1:
        return [Row(key, f"{peer}, {kind}, warm, 1 client: p50", load["p50_us"] / 1000, "ms", detail=entry)]
    what = f"{peer}, {kind}, warm, {clients} clients" + (" (answers mixed up)" if note else "")
    return [Row(key, what, load["per_second"], "1/s", is_high_good=True, note=note, detail=entry)]


if __name__ == "__main__":
    main()
