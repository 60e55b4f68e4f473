"""Rotations of secrets: four calls of a function, of which MiniStack knows the configuration alone.

Source: Secrets Manager user guide, "Rotation by Lambda function".
"""

from __future__ import annotations

import json
import logging
import threading
import time
import uuid
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.bridge import Bridge, Source

    Event = Any
    Record = dict[str, Any]

    Answer = tuple[int, dict[str, str], bytes]

_log = logging.getLogger("ministack")

_STEPS = ("createSecret", "setSecret", "testSecret", "finishSecret")
_DAY_SECONDS = 86_400
# Recorded (test_secretsmanager.json).
_CANNOT_ROTATE = (
    "Secrets Manager cannot invoke the specified Lambda function. Ensure that the function policy grants access to the "
    "principal secretsmanager.amazonaws.com."
)
_NO_FUNCTION = "No Lambda rotation function ARN is associated with this secret."


class Rotations:
    """RotateSecret, and what is to be seen of it. Scope: process; a kill ends it, and its version stays pending."""

    def __init__(self, bridge: Bridge, module: Any) -> None:
        self._bridge = bridge
        self._module = module
        self._plain_rotate = module._rotate_secret
        self._plain_get = module._get_secret_value
        self._plain_describe = module._describe_secret

    def take_part(self) -> None:
        """Stand in the place of MiniStack's operations from now on."""
        known = vars(self._module)
        known["_rotate_secret"] = self.rotate
        known["_get_secret_value"] = self.get
        known["_describe_secret"] = self.describe

    def rotate(self, data: Record) -> Answer:
        """Begin a rotation; with RotateImmediately false only its third step is tried."""
        module = self._module
        _, secret = module._resolve(data.get("SecretId"))
        if not secret or secret.get("DeletedDate") or module._is_replica(secret):
            return self._plain_rotate(data)  # type: ignore[no-any-return]
        arn = data.get("RotationLambdaARN") or secret.get("RotationLambdaARN")
        if not arn:
            return self._error("InvalidRequestException", _NO_FUNCTION)
        source = self._bridge.caller("secretsmanager")._replace(arn=secret["ARN"], account=secret["ARN"].split(":")[4])
        if not self._bridge.is_permitted(arn, source):
            return self._error("AccessDeniedException", _CANNOT_ROTATE)
        secret["RotationLambdaARN"] = arn
        if data.get("RotationRules"):
            secret["RotationRules"] = data["RotationRules"]
        secret["RotationEnabled"] = True
        token = data.get("ClientRequestToken") or str(uuid.uuid4())
        is_whole = data.get("RotateImmediately", True)
        if is_whole:
            secret["Versions"][token] = {
                "SecretString": None, "SecretBinary": None, "CreatedDate": int(time.time()), "Stages": ["AWSPENDING"],
            }  # fmt: skip
        # The function calls this service, so nothing of this may run where requests are answered.
        work = (secret, arn, source, token) if is_whole else (None, arn, source, token)
        threading.Thread(target=self._run, args=work, name="lambent-rotation", daemon=True).start()
        return self._module.json_response(  # type: ignore[no-any-return]
            {"ARN": secret["ARN"], "Name": secret["Name"], "VersionId": token}
        )

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
        said = json.loads(answer[2])
        rotated = secret.get("LastRotatedDate")
        days = (secret.get("RotationRules") or {}).get("AutomaticallyAfterDays")
        if rotated:
            said["LastRotatedDate"] = rotated
        if days and secret.get("RotationEnabled"):
            said["NextRotationDate"] = (rotated or int(secret["CreatedDate"])) + days * _DAY_SECONDS
        return self._module.json_response(said)  # type: ignore[no-any-return]

    def _run(self, secret: Record | None, arn: str, source: Source, token: str) -> None:
        for step in _STEPS if secret is not None else _STEPS[2:3]:
            identifier = str(uuid.uuid4())
            event = {"Step": step, "SecretId": source.arn, "ClientRequestToken": token, "RotationToken": identifier}
            result = self._bridge.call(arn, source, event)
            if result.get("error"):
                _log.warning("the rotation of %s failed at %s: %s", source.arn, step, result.get("body"))
                return
        if secret is None:
            return
        secret["LastRotatedDate"] = secret["LastChangedDate"] = int(time.time())
        version = secret["Versions"].get(token)
        if version is not None and {"AWSCURRENT", "AWSPENDING"} <= set(version["Stages"]):
            version["Stages"].remove("AWSPENDING")

    def _error(self, code: str, text: str) -> Answer:
        answer: Answer = self._module.error_response_json(code, text, 400)
        return answer


def secretsmanager(bridge: Bridge, module: Any) -> None:
    """Secrets: the secret calls."""
    Rotations(bridge, module).take_part()


PARTICIPANTS: dict[str, Callable[[Bridge, Any], None]] = {"secretsmanager": secretsmanager}
