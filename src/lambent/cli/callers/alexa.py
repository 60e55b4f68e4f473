"""`lambent alexa simulate INTENT`: sends a function what Alexa would send it, and shows what it says."""

from __future__ import annotations

import json
import urllib.parse
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from lambent.cli.callers.alexa_requests import ENDED, Asked, Session, new_session, request_document, speech_of
from lambent.cli.calling import Extras, called
from lambent.cli.failure import CommandError
from lambent.clock import SystemClock

if TYPE_CHECKING:
    import argparse

# Longer than the longest function runs.
_ANSWER_SECONDS = 1_000.0


def run_alexa(parsed: argparse.Namespace) -> int:
    """Send a request, print the speech and the whole answer; return 0.

    Raises:
        CommandError: the server cannot be reached or refuses, the function failed, or the words say nothing to send.
    """
    if parsed.directive is not None:
        directive = _directive(parsed.directive)
        if parsed.print_request:
            print(json.dumps(directive, indent=2))
        else:
            print(json.dumps(_send(parsed, directive, "smart-home"), indent=2, ensure_ascii=False))
        return 0
    if parsed.intent is None:
        raise CommandError("name an intent, LaunchRequest or SessionEndedRequest, or say --directive.")
    session = _session(parsed.session)
    asked = Asked(parsed.intent, _slots(parsed.slot), parsed.skill, parsed.locale, SystemClock().time_ms())
    document = request_document(asked, session)
    if parsed.print_request:
        print(json.dumps(document, indent=2, ensure_ascii=False))
        return 0
    answer = _send(parsed, document, "custom")
    for text in speech_of(answer):
        print(text)
    print(json.dumps(answer, indent=2, ensure_ascii=False))
    _keep(parsed.session, session, answer, is_over=parsed.intent == ENDED)
    return 0


def _send(parsed: argparse.Namespace, document: Any, kind: str) -> Any:  # noqa: ANN401
    path = f"/_lambent/v1/alexa/{urllib.parse.quote(_function(parsed), safe='')}/simulations"
    parameters = {"kind": kind, "skill": parsed.skill}
    if parsed.qualifier is not None:
        parameters["qualifier"] = parsed.qualifier
    body = json.dumps(document, ensure_ascii=False).encode()
    extras = Extras({"content-type": "application/json"}, _ANSWER_SECONDS)
    with called(parsed, path, parameters=parameters, method="POST", body=body, extras=extras) as answer:
        text = answer.read()
    try:
        return json.loads(text)
    except ValueError as error:
        raise CommandError(f"the function's answer is not JSON: {text[:500]!r}.") from error


def _function(parsed: argparse.Namespace) -> str:
    if parsed.function is not None:
        return str(parsed.function)
    with called(parsed, "/2015-03-31/functions/", parameters={"MaxItems": "2"}) as answer:
        names = [one["FunctionName"] for one in json.loads(answer.read())["Functions"]]
    if len(names) != 1:
        raise CommandError("there is not one function alone: name it with --function.")
    return str(names[0])


def _slots(given: list[str]) -> dict[str, str]:
    slots = {}
    for assignment in given:
        name, equals, value = assignment.partition("=")
        if not equals:
            raise CommandError(f"--slot takes NAME=VALUE, not {assignment!r}.")
        slots[name] = value
    return slots


def _directive(said: str) -> Any:  # noqa: ANN401
    try:
        text = Path(said[1:]).read_text() if said.startswith("@") else said
        return json.loads(text)
    except OSError as error:
        raise CommandError(f"{said[1:]} cannot be read: {error.strerror}.") from error
    except ValueError as error:
        raise CommandError(f"the directive is not JSON: {error}.") from error


def _session(file: str | None) -> Session:
    if file is None or not Path(file).exists():
        return new_session()
    try:
        return msgspec.json.decode(Path(file).read_bytes(), type=Session)
    except (OSError, msgspec.MsgspecError) as error:
        raise CommandError(f"{file} holds no conversation: {error}.") from error


def _keep(file: str | None, session: Session, answer: Any, *, is_over: bool) -> None:  # noqa: ANN401
    """Keep what the next request of a conversation says; one that is over is forgotten."""
    if file is None:
        return
    response = answer.get("response") if isinstance(answer, dict) else None
    # Source: "Response Body Syntax": a device without a screen ends the session unless it is told not to.
    should_end = response.get("shouldEndSession") if isinstance(response, dict) else True
    if is_over or should_end is not False:
        Path(file).unlink(missing_ok=True)
        return
    session.attributes = answer.get("sessionAttributes") or {}
    session.is_new = False
    Path(file).write_bytes(msgspec.json.encode(session))
