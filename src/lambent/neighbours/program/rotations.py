"""Rotations of secrets: four calls of a function, of which MiniStack knows the configuration alone.

A rotation that fails leaves its version AWSPENDING and is tried again with it; one that a kill ended is taken up again
when this process knows its secrets anew. When a rotation is due, the daemon's timer asks for it by RotateSecret.

Source: Secrets Manager user guide, "Rotation by Lambda function", "Rotation schedules"; API reference, RotateSecret.
"""

from __future__ import annotations

import contextvars
import json
import logging
import re
import threading
import time
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge, Source

    Event = Any
    Record = dict[str, Any]

    Answer = tuple[int, dict[str, str], bytes]

_log = logging.getLogger("ministack")

_STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_HOUR_SECONDS = 3_600
_DAY_SECONDS = 86_400
# A rotation that fails is tried again after these seconds, and then with the next RotateSecret.
_PAUSES_SECONDS = (2.0, 10.0, 60.0, 300.0, 900.0)
_RATE = re.compile(r"rate\(\s*(\d{1,5})\s+(hour|day)s?\s*\)")
_RATE_HOURS_MIN = 4
_DURATION = re.compile(r"(\d{1,2})h")
_DAYS_MAX = 1_000
# Recorded (test_secretsmanager.json).
_CANNOT_ROTATE = (
    "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the "
    "principal secretsmanager.amazonaws.com."
)
_NO_FUNCTION = "No Lambda rotation function ARN is associated with this secret."
# Source: API reference and observed: who asks while a version is pending.
_UNFINISHED = "A previous rotation isn't complete. That rotation will be reattempted."
# Marks a version that is there for the third step alone.
_TRIED = "IsTried"
_MISSING = "Secrets Manager can't find the specified secret."


class Rotations:
    """RotateSecret, CancelRotateSecret, and what is to be seen of them. Scope: process.

    What is under way is known by the secret alone: the version that is AWSPENDING and not AWSCURRENT.
    """

    def __init__(self, bridge: Bridge, module: Any) -> None:
        self._bridge = bridge
        self._module = module
        self._plain_rotate = module._rotate_secret
        self._plain_get = module._get_secret_value
        self._plain_describe = module._describe_secret
        self._plain_requests = module.handle_request
        # Secret's ARN → what wakes the rotation that waits before it tries again.
        self._running: dict[str, threading.Event] = {}
        self._lock = threading.Lock()

    def take_part(self) -> None:
        """Stand in the place of MiniStack's operations from now on."""
        known = vars(self._module)
        known["_rotate_secret"] = self.rotate
        known["_get_secret_value"] = self.get
        known["_describe_secret"] = self.describe
        known["handle_request"] = self.handle_request
        self._resume()

    async def handle_request(
        self, method: str, path: str, headers: dict[str, str], body: bytes, query_params: Any
    ) -> Answer:
        """Answer a request; MiniStack does not know CancelRotateSecret."""
        if headers.get("x-amz-target", "").endswith(".CancelRotateSecret"):
            return self.cancel(json.loads(body or b"{}"))
        answer: Answer = await self._plain_requests(method, path, headers, body, query_params)
        return answer

    def rotate(self, data: Record) -> Answer:
        """Begin a rotation; with RotateImmediately false only its third step is tried, with a version for that."""
        module = self._module
        _, secret = module._resolve(data.get("SecretId"))
        if not secret or secret.get("DeletedDate") or module._is_replica(secret):
            return self._plain_rotate(data)  # type: ignore[no-any-return]
        wrong = _wrong_rules(data.get("RotationRules") or {})
        if wrong:
            return self._error("InvalidParameterException", wrong)
        arn = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
        if not arn:
            return self._error("InvalidRequestException", _NO_FUNCTION)
        if not self._bridge.is_permitted(arn, self._source(secret)):
            return self._error("AccessDeniedException", _CANNOT_ROTATE)
        token = data.get("ClientRequestToken") or str(uuid.uuid4())
        if not self._is_done(secret, token):
            pending = _pending(secret)
            self._configure(secret, arn, data)
            if pending is not None:
                self._begin(secret, pending)
                if pending != token:
                    return self._error("InvalidRequestException", _UNFINISHED)
            else:
                self._start(secret, token, is_whole=data.get("RotateImmediately", True))
        return self._module.json_response(  # type: ignore[no-any-return]
            {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token}
        )

    def cancel(self, data: Record) -> Answer:
        """Turn rotation off; what is under way is not tried again, its version stays as it is."""
        module = self._module
        _, secret = module._resolve(data.get("SecretId"))
        if not secret:
            return self._error("ResourceNotFoundException", _MISSING)
        if secret.get("DeletedDate") or module._is_replica(secret):
            return self._plain_rotate(data)  # type: ignore[no-any-return]
        secret["RotationEnabled"] = False
        pending = _pending(secret)
        said = {"ARN": secret["ARN"], "Name": secret["Name"], **({"VersionId": pending} if pending else {})}
        return module.json_response(said)  # type: ignore[no-any-return]

    def get(self, data: Record) -> Answer:
        """Answer GetSecretValue; a version that waits for its first value has none."""
        module = self._module
        _, secret = module._resolve(data.get("SecretId"))
        if secret and not secret.get("DeletedDate"):
            label = data.get("VersionStage", "AWSCURRENT")
            identifier = data.get("VersionId") or module._find_stage_version(secret, label)[0]
            version = secret["Versions"].get(identifier)
            if version is not None and version.get("SecretString") is None and version.get("SecretBinary") is None:
                text = f"Secrets Manager can't find the specified secret value for staging label: {label}"
                return self._error("ResourceNotFoundException", text)
        return self._plain_get(data)  # type: ignore[no-any-return]

    def describe(self, data: Record) -> Answer:
        """Answer DescribeSecret, with when it was rotated and will be."""
        answer: Answer = self._plain_describe(data)
        _, secret = self._module._resolve(data.get("SecretId"))
        if answer[0] != 200 or not secret:
            return answer
        # Recorded (test_secretsmanager.json): what there is not is not told.
        said = {name: value for name, value in json.loads(answer[2]).items() if value not in ("", [], None)}
        if not said.get("RotationEnabled") and not secret.get("RotationLambdaARN"):
            said.pop("RotationEnabled", None)
        rotated = secret.get("LastRotatedDate")
        if rotated:
            said["LastRotatedDate"] = rotated
        if secret.get("RotationEnabled"):
            since = int(rotated or secret.get("RotationSince") or secret["CreatedDate"])
            following = _next_rotation(secret.get("RotationRules") or {}, since)
            if following is not None:
                said["NextRotationDate"] = following
        return self._module.json_response(said)  # type: ignore[no-any-return]

    # --- one rotation

    def _configure(self, secret: Record, arn: str, data: Record) -> None:
        secret["RotationLambdaARN"] = arn
        if data.get("RotationRules"):
            secret["RotationRules"] = data["RotationRules"]
        if not secret.get("RotationEnabled"):
            # From here on the first rotation counts that has none before it.
            secret["RotationSince"] = int(time.time())
        secret["RotationEnabled"] = True

    def _start(self, secret: Record, token: str, *, is_whole: bool) -> None:
        version = secret["Versions"].setdefault(
            token, {"SecretString": None, "SecretBinary": None, "CreatedDate": int(time.time()), "Stages": []}
        )
        version["Stages"].append("AWSPENDING")
        if is_whole:
            self._begin(secret, token)
        else:
            version[_TRIED] = True
            self._thread(self._try_configuration, secret, token)

    def _begin(self, secret: Record, token: str) -> None:
        """Rotate with a version; if that is under way and waits, it waits no longer."""
        with self._lock:
            running = self._running.get(secret["ARN"])
            if running is not None:
                running.set()
                return
            self._running[secret["ARN"]] = threading.Event()
        self._thread(self._run, secret, token)

    @staticmethod
    def _thread(work: Callable[[Record, str], None], secret: Record, token: str) -> None:
        # The function calls this service, so nothing of this may run where requests are answered.
        arguments = (work, secret, token)
        context = contextvars.copy_context()
        threading.Thread(target=context.run, args=arguments, name="lambent-rotation", daemon=True).start()

    def _run(self, secret: Record, token: str) -> None:
        wake = self._running[secret["ARN"]]
        try:
            for pause in (*_PAUSES_SECONDS, None):
                if self._rotated(secret, token) or pause is None:
                    return
                wake.clear()
                wake.wait(pause)
                if not self._is_wanted(secret, token):
                    return
        finally:
            with self._lock:
                del self._running[secret["ARN"]]

    def _rotated(self, secret: Record, token: str) -> bool:
        """Do the four steps; return whether none has failed."""
        if not all(self._step(secret, token, step) for step in _STEPS):
            return False
        secret["LastRotatedDate"] = secret["LastChangedDate"] = int(time.time())
        version = secret["Versions"].get(token)
        if version is not None and {"AWSCURRENT", "AWSPENDING"} <= set(version["Stages"]):
            version["Stages"].remove("AWSPENDING")
        self._bridge.keep("secretsmanager")
        return True

    def _try_configuration(self, secret: Record, token: str) -> None:
        self._step(secret, token, "testSecret")
        secret["Versions"].pop(token, None)

    def _step(self, secret: Record, token: str, step: str) -> bool:
        source = self._source(secret)
        identifier = str(uuid.uuid4())
        event = {"Step": step, "SecretId": source.arn, "ClientRequestToken": token, "RotationToken": identifier}
        result = self._bridge.call(secret["RotationLambdaARN"], source, event)
        if result.get("error"):
            _log.warning("the rotation of %s failed at %s: %s", source.arn, step, result.get("body"))
            return False
        return True

    def _resume(self) -> None:
        """Take up what was under way when the last process ended."""
        for secret in list(self._module._secrets.all_values()):
            for tried in [one for one, version in secret["Versions"].items() if version.get(_TRIED)]:
                del secret["Versions"][tried]
            token = _pending(secret)
            if token is None or not self._is_wanted(secret, token) or self._module._is_replica(secret):
                continue
            _, _, _, region, account, *_ = secret["ARN"].split(":")
            context = contextvars.copy_context()
            context.run(self._resume_one, secret, token, account, region)

    def _resume_one(self, secret: Record, token: str, account: str, region: str) -> None:
        from ministack.core import responses

        responses.set_request_account_id(account)
        responses.set_request_region(region)
        self._begin(secret, token)

    def _is_wanted(self, secret: Record, token: str) -> bool:
        is_kept = secret.get("RotationEnabled") and not secret.get("DeletedDate")
        return bool(is_kept) and _pending(secret) == token

    @staticmethod
    def _is_done(secret: Record, token: str) -> bool:
        """Return whether this was asked for before and has been done: a request may come twice."""
        version = secret["Versions"].get(token)
        return version is not None and "AWSPENDING" not in version["Stages"]

    def _source(self, secret: Record) -> Source:
        arn = secret["ARN"]
        return self._bridge.caller("secretsmanager")._replace(arn=arn, account=arn.split(":")[4])

    def _error(self, code: str, text: str) -> Answer:
        # Errors that Secrets Manager knows have their text in this member; AccessDeniedException is not one of them.
        member = "message" if code == "AccessDeniedException" else "Message"
        answer: Answer = self._module.error_response_json(code, text, 400, message_key=member)
        return answer


def _pending(secret: Record) -> str | None:
    """Return the version that a rotation has begun and not finished."""
    for token, version in secret["Versions"].items():
        stages = version["Stages"]
        if "AWSPENDING" in stages and "AWSCURRENT" not in stages and not version.get(_TRIED):
            return str(token)
    return None


def _wrong_rules(rules: Record) -> str:
    """Return why these are no RotationRules, or nothing. Source: API reference, RotationRulesType."""
    days, text, duration = rules.get("AutomaticallyAfterDays"), rules.get("ScheduleExpression"), rules.get("Duration")
    if days is not None and text is not None:
        return "You can't specify both AutomaticallyAfterDays and ScheduleExpression in RotationRules."
    if days is not None and not (isinstance(days, int) and 1 <= days <= _DAYS_MAX):
        return f"AutomaticallyAfterDays must be between 1 and {_DAYS_MAX:,}."
    if text is not None and not _is_schedule(str(text)):
        return "Invalid ScheduleExpression."
    if duration is None:
        return ""
    match = _DURATION.fullmatch(str(duration))
    return "" if match is not None and 1 <= int(match[1]) <= 24 else "Invalid Duration: between 1h and 24h."


def _is_schedule(text: str) -> bool:
    """Return whether a rotation can be due so: at full hours, at most every four. Source: "Schedule expressions"."""
    rate = _RATE.fullmatch(text)
    if rate is not None:
        hours = int(rate[1]) * (24 if rate[2] == "day" else 1)
        return _RATE_HOURS_MIN <= hours <= 999 * 24
    fields = text.removeprefix("cron(").removesuffix(")").split()
    if not (text.startswith("cron(") and text.endswith(")")) or len(fields) != 6:
        return False
    from ministack.services import eventbridge

    return fields[0] == "0" and fields[5] == "*" and eventbridge._parse_cron_fields(text) is not None


def _next_rotation(rules: Record, since: int) -> int | None:
    """Return when the next rotation is due, seconds of the Unix epoch, if the last was then."""
    if rules.get("AutomaticallyAfterDays"):
        return since + int(rules["AutomaticallyAfterDays"]) * _DAY_SECONDS
    text = str(rules.get("ScheduleExpression", ""))
    rate = _RATE.fullmatch(text)
    if rate is not None:
        return since + int(rate[1]) * (_DAY_SECONDS if rate[2] == "day" else _HOUR_SECONDS)
    if not text:
        return None
    from ministack.services import eventbridge

    fields = eventbridge._parse_cron_fields(text)
    found = fields and eventbridge._cron_next_fire(fields, datetime.fromtimestamp(since, UTC))
    return int(found.timestamp()) if found else None


def secretsmanager(bridge: Bridge, module: Any) -> None:
    """Secrets: the secret calls."""
    Rotations(bridge, module).take_part()


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {"secretsmanager": secretsmanager}
