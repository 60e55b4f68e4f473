"""`lambent invoke FUNCTION --event sample:s3`: calls Lambda's own Invoke, with an event of one's own or a sample."""

from __future__ import annotations

import base64
import json
import re
import sys
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING

from lambent.cli.calling import Extras, called
from lambent.cli.failure import CommandError
from lambent.cli.samples import SAMPLES, Given, SampleError, sample_event
from lambent.clock import SystemClock
from lambent.settings import Settings, read_client_environment

if TYPE_CHECKING:
    import argparse
    import http.client

_SAMPLE = "sample:"
# Longer than the longest function runs.
_ANSWER_SECONDS = 1_000.0
_FUNCTION_FAILED = 1
_ACCOUNT = re.compile(r"[0-9]{12}")


def run_invoke(parsed: argparse.Namespace) -> int:
    """Invoke and print the answer, or print samples; return 0, or 1 when the function failed.

    Raises:
        CommandError: the server cannot be reached or refuses, or the words say nothing that can be sent.
    """
    if parsed.list_samples:
        _print_samples()
        return 0
    if parsed.function is None and not parsed.print_event:
        raise CommandError("name a function, or say --print-event or --list-samples.")
    payload = _event(parsed)
    if parsed.print_event:
        print(payload.decode("utf-8", "replace"))
        return 0
    return _invoke(parsed, payload)


def _invoke(parsed: argparse.Namespace, payload: bytes) -> int:
    headers = {"x-amz-invocation-type": "Event" if parsed.asynchronous else "RequestResponse"}
    if parsed.tail:
        headers["x-amz-log-type"] = "Tail"
    parameters = {"Qualifier": parsed.qualifier} if parsed.qualifier else {}
    extras = Extras(headers, _ANSWER_SECONDS)
    path = f"{_path(parsed)}/invocations"
    with called(parsed, path, parameters=parameters, method="POST", body=payload, extras=extras) as answer:
        body = answer.read()
        return _show(answer, body)


def _show(answer: http.client.HTTPResponse, body: bytes) -> int:
    tail = answer.headers.get("x-amz-log-result")
    if tail:
        print(base64.b64decode(tail).decode("utf-8", "replace"), end="", file=sys.stderr)
    # 202: what stands for the answer is the id under which the function's log has it.
    print(answer.headers.get("x-amzn-requestid", "") if answer.status == 202 else body.decode("utf-8", "replace"))
    error = answer.headers.get("x-amz-function-error")
    if error is None:
        return 0
    print(f"lambent: the function failed ({error}).", file=sys.stderr)
    return _FUNCTION_FAILED


def _path(parsed: argparse.Namespace) -> str:
    return f"/2015-03-31/functions/{urllib.parse.quote(parsed.function, safe='')}"


def _event(parsed: argparse.Namespace) -> bytes:
    said: str = parsed.event
    if said.startswith(_SAMPLE):
        return _sample(parsed, said.removeprefix(_SAMPLE))
    if parsed.told:
        raise CommandError("--with changes samples only.")
    if said == "-":
        return sys.stdin.buffer.read()
    if said.startswith("@"):
        try:
            return Path(said[1:]).read_bytes()
        except OSError as error:
            raise CommandError(f"{said[1:]} cannot be read: {error.strerror}.") from error
    return said.encode()


def _sample(parsed: argparse.Namespace, name: str) -> bytes:
    told = {}
    for assignment in parsed.told:
        field, equals, value = assignment.partition("=")
        if not equals:
            raise CommandError(f"--with takes NAME=VALUE, not {assignment!r}.")
        told[field] = value
    try:
        return json.dumps(sample_event(name, _given(parsed, name), told), indent=2, ensure_ascii=False).encode()
    except SampleError as error:
        raise CommandError(str(error)) from error


def _given(parsed: argparse.Namespace, sample: str) -> Given:
    """Return for whom the event is: the function that is there, or whoever the environment says asks."""
    at_ms = SystemClock().time_ms()
    if parsed.function is not None and sample in SAMPLES:
        with called(parsed, f"{_path(parsed)}/configuration") as answer:
            _, _, _, region, account_id, _, function = json.loads(answer.read())["FunctionArn"].split(":")[:7]
        return Given(account_id, region, function, at_ms, {})
    around = read_client_environment()
    is_account = _ACCOUNT.fullmatch(around.access_key_id) is not None
    account_id = around.access_key_id if is_account else Settings().account.default_id
    return Given(account_id, parsed.region or around.region, "my-function", at_ms, {})


def _print_samples() -> None:
    width = max(len(name) for name in SAMPLES)
    for name, sample in SAMPLES.items():
        fields = f" ({', '.join(sample.fields)})" if sample.fields else ""
        print(f"{name:<{width}}  {sample.source}{fields}")
