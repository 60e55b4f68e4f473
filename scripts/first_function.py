"""Starts a server, creates (or updates) examples/hello through the public API, invokes it, shows what happened."""

from __future__ import annotations

import argparse
import base64
import contextlib
import io
import json
import os
import signal
import subprocess
import sys
import time
import urllib.request
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

import boto3
from botocore.config import Config

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

    from botocore.client import BaseClient

T = TypeVar("T")

ROOT = Path(__file__).resolve().parent.parent
EXAMPLE = ROOT / "examples" / "hello"
NAME = "hello"
START_SECONDS = 180
STOP_SECONDS = 60


def main() -> int:
    """Run it; the exit status is 0 when the function answered and the server stopped cleanly."""
    parser = argparse.ArgumentParser(prog="scripts/run", description=__doc__)
    parser.add_argument("--once", action="store_true", help="stop the server after the first answers")
    is_once = parser.parse_args().once
    started = time.monotonic()
    server = _start_server()
    # From here on SIGTERM and Ctrl-C end the server in good order, also while the function is being deployed.
    signal.signal(signal.SIGTERM, _stop)
    signal.signal(signal.SIGINT, _stop)
    status = 1
    try:
        url = _wait_healthy(server)
        _show_function(url, started)
        status = 0
        if not is_once:
            print(f"\nServing on {url} until Ctrl-C. Try:\n\n  AWS_ENDPOINT_URL={url} AWS_ACCESS_KEY_ID=test "
                  "AWS_SECRET_ACCESS_KEY=test AWS_DEFAULT_REGION=us-east-1 \\\n  "
                  "aws lambda list-functions\n", flush=True)  # fmt: skip
            status = server.wait()
    except KeyboardInterrupt:
        status = 0 if not is_once else 130
    finally:
        with contextlib.suppress(KeyboardInterrupt):
            status = _stop_server(server) or status
    return status


def _stop(number: int, frame: FrameType | None) -> None:
    raise KeyboardInterrupt


def _start_server() -> subprocess.Popen[bytes]:
    environment = dict(os.environ)
    environment.setdefault("LAMBENT_DATA_DIR", str(ROOT / ".lambent"))
    command = [str(ROOT / ".venv" / "bin" / "lambent"), "serve"]
    # A session of its own: Ctrl-C reaches the server once, as SIGTERM, from us.
    return subprocess.Popen(command, env=environment, stdin=subprocess.DEVNULL, start_new_session=True)


def _url() -> str:
    return f"http://127.0.0.1:{os.environ.get('LAMBENT_SERVER_PORT', '4566')}"


def _wait_healthy(server: subprocess.Popen[bytes]) -> str:
    url = _url()
    deadline = time.monotonic() + START_SECONDS
    while time.monotonic() < deadline:
        if server.poll() is not None:
            raise SystemExit(f"the server ended with status {server.returncode}; its reason stands above")
        with contextlib.suppress(OSError), urllib.request.urlopen(f"{url}/_lambent/health", timeout=5) as answer:
            if answer.status == 200:
                return url
        time.sleep(0.02)
    raise SystemExit(f"no answer from {url}/_lambent/health in {START_SECONDS} s")


def _stop_server(server: subprocess.Popen[bytes]) -> int:
    if server.poll() is None:
        server.send_signal(signal.SIGTERM)
    try:
        return server.wait(STOP_SECONDS)
    except subprocess.TimeoutExpired:
        server.kill()
        print(f"the server did not stop in {STOP_SECONDS} s and was killed", file=sys.stderr)
        return 1


def _show_function(url: str, started: float) -> None:
    """Create or update the function, invoke it cold and warm, print answer, log and timings."""
    client = boto3.client(
        "lambda",
        endpoint_url=url,
        region_name="us-east-1",
        aws_access_key_id="test",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}),
    )
    what, deploy_seconds = _timed(lambda: _deploy(client))
    print(f"\n{what} function {NAME} from {EXAMPLE.relative_to(ROOT)} in {deploy_seconds * 1000:.0f} ms", flush=True)
    event = json.dumps({"name": "world"})
    answer, cold_seconds = _timed(lambda: client.invoke(FunctionName=NAME, Payload=event, LogType="Tail"))
    since_start = time.monotonic() - started
    payload = answer["Payload"].read().decode()
    if "FunctionError" in answer:
        raise SystemExit(f"the function failed: {payload}")
    calls = [_timed(lambda: client.invoke(FunctionName=NAME, Payload=event)["Payload"].read()) for _ in range(20)]
    warm = sorted(seconds for _, seconds in calls)
    print(f"answer:        {payload}")
    print("log:")
    for line in base64.b64decode(answer["LogResult"]).decode().splitlines():
        print(f"  {line}")
    print(f"first invoke:  {cold_seconds * 1000:.1f} ms (a new environment)")
    print(f"warm invoke:   {warm[len(warm) // 2] * 1000:.1f} ms (median of {len(warm)}, boto3 included)")
    print(f"all in all:    {since_start:.2f} s from the start of the server to the first answer", flush=True)


def _deploy(client: BaseClient) -> str:
    waiter = {"Delay": 0.05, "MaxAttempts": 600}
    code = _zip(EXAMPLE)
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    configuration = {
        "Runtime": version,
        "Handler": f"{_module(EXAMPLE)}.handler",
        "Role": "arn:aws:iam::000000000000:role/hello",
        "Timeout": 10,
    }
    try:
        client.get_function_configuration(FunctionName=NAME)
    except client.exceptions.ResourceNotFoundException:
        client.create_function(FunctionName=NAME, Code={"ZipFile": code}, **configuration)
        client.get_waiter("function_active_v2").wait(FunctionName=NAME, WaiterConfig=waiter)
        return "created"
    client.update_function_code(FunctionName=NAME, ZipFile=code)
    client.get_waiter("function_updated_v2").wait(FunctionName=NAME, WaiterConfig=waiter)
    client.update_function_configuration(FunctionName=NAME, **configuration)
    client.get_waiter("function_updated_v2").wait(FunctionName=NAME, WaiterConfig=waiter)
    return "updated"


def _module(directory: Path) -> str:
    modules = sorted(path.stem for path in directory.glob("*.py"))
    if len(modules) != 1:
        raise SystemExit(f"{directory} should hold one Python file, not {modules}")
    return modules[0]


def _zip(directory: Path) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        for path in sorted(directory.rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                archive.write(path, path.relative_to(directory))
    return buffer.getvalue()


def _timed(call: Callable[[], T]) -> tuple[T, float]:
    begin = time.perf_counter()
    result = call()
    return result, time.perf_counter() - begin


if __name__ == "__main__":
    sys.exit(main())
