"""Targets: what is done in the name of a schedule or a rule, by the public API of the target's service."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any, NamedTuple

from lambent.model.arn import parse_function_name
from lambent.model.errors import LambdaError, ServiceError
from lambent.model.invocation import InvokeRequest, TriggerSource
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError
from lambent.wire.others.sdk_call import UnknownOperationError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from lambent.model.arn import FunctionArn
    from lambent.model.configs.schedule import Firing
    from lambent.triggers.schedules.parts import TargetParts

_UNIVERSAL = "arn:aws:scheduler:::aws-sdk:"
_PASSING = ("Throttl", "TooManyRequests", "LimitExceeded", "SlowDown", "RequestTimeout", "ServiceUnavailable")
# Source: API reference, RotateSecret, and observed.
_REATTEMPTED = "A previous rotation isn't complete."
_RULE_PRINCIPAL = "events.amazonaws.com"


class TargetError(Exception):
    """A target was not invoked. `code` is AWS's; `is_final`: trying again is of no use."""

    def __init__(self, code: str, text: str, *, is_final: bool) -> None:
        super().__init__(text)
        self.code = code
        self.is_final = is_final


class _Call(NamedTuple):
    """One invocation of a target."""

    firing: Firing
    target: Mapping[str, Any]
    arn: str
    resource: str
    payload: str
    principal: Principal


class ScheduleTargets:
    """Invokes targets. Scope: process; keeps nothing."""

    def __init__(self, parts: TargetParts) -> None:
        self._parts = parts
        self._services: dict[str, Callable[[_Call], Awaitable[None]]] = {
            "lambda": self._function,
            "sqs": self._queue,
            "sns": self._topic,
            "events": self._bus,
            "states": self._state_machine,
            "kinesis": self._stream,
            "firehose": self._delivery_stream,
            "logs": self._log_group,
            "secretsmanager": self._secret,
        }

    async def invoke(self, firing: Firing, target: Mapping[str, Any], payload: str) -> None:
        """Invoke a target with its payload.

        Raises:
            TargetError: it was not invoked.
        """
        arn = str(target.get("Arn", ""))
        parts = [*arn.split(":", 5), "", "", "", "", "", ""]
        principal = Principal(parts[4] or firing.account_id, parts[3] or firing.region)
        call = _Call(firing, target, arn, parts[5], payload, principal)
        send = self._universal if arn.startswith(_UNIVERSAL) else self._services.get(parts[2])
        if send is None:
            raise TargetError("UnsupportedTarget", f"{arn} is of a service that is no target here.", is_final=True)
        await _translated(send(call))

    async def send_message(self, queue_arn: str, body: str, attributes: Mapping[str, str], firing: Firing) -> None:
        """Send a message to a queue, in the name of its account.

        Raises:
            TargetError: it was not taken.
        """
        parts = [*queue_arn.split(":", 5), "", "", "", "", "", ""]
        principal = Principal(parts[4] or firing.account_id, parts[3] or firing.region)
        await _translated(self._send_message(parts[5], body, principal, {"MessageAttributes": _typed(attributes)}))

    async def _function(self, call: _Call) -> None:
        function = self._named(call.arn, call)
        self._parts.knows(function)
        self._require_permission(function, call)
        await self._enqueue(function, call, call.payload)

    async def _queue(self, call: _Call) -> None:
        group = (call.target.get("SqsParameters") or {}).get("MessageGroupId")
        more: dict[str, Any] = {}
        if group:
            more = {"MessageGroupId": group, "MessageDeduplicationId": call.firing.name}
        await self._send_message(call.resource, call.payload, call.principal, more)

    async def _topic(self, call: _Call) -> None:
        parameters = {"Version": "2010-03-31", "TopicArn": call.arn, "Message": call.payload}
        await self._parts.client.query("sns", "Publish", parameters, call.principal)

    async def _bus(self, call: _Call) -> None:
        if not call.resource.startswith("event-bus/"):
            raise TargetError("UnsupportedTarget", f"{call.arn} is no target here.", is_final=True)
        given = call.target.get("EventBridgeParameters") or {}
        entry = {
            "EventBusName": call.arn,
            "Source": given.get("Source", "aws.events"),
            "DetailType": given.get("DetailType", "Scheduled Event"),
            "Detail": call.payload,
            "Time": call.firing.scheduled_ms / 1_000,
        }
        answer = await self._parts.client.call("events", "PutEvents", {"Entries": [entry]}, call.principal)
        if answer.get("FailedEntryCount"):
            failed = (answer.get("Entries") or [{}])[0]
            raise CallError(str(failed.get("ErrorCode", "")), str(failed.get("ErrorMessage", "")), 400)

    async def _state_machine(self, call: _Call) -> None:
        # The name makes an execution that was begun already be refused, or told again, rather than begun twice.
        parameters = {"stateMachineArn": call.arn, "input": call.payload, "name": call.firing.name}
        try:
            await self._parts.client.operate("stepfunctions", "startExecution", parameters, call.principal)
        except CallError as error:
            if error.code != "ExecutionAlreadyExists":
                raise

    async def _stream(self, call: _Call) -> None:
        key = (call.target.get("KinesisParameters") or {}).get("PartitionKey") or call.firing.name
        name = call.resource.partition("/")[2]
        parameters = {"StreamName": name, "PartitionKey": key, "Data": call.payload.encode()}
        await self._parts.client.operate("kinesis", "putRecord", parameters, call.principal)

    async def _delivery_stream(self, call: _Call) -> None:
        name = call.resource.partition("/")[2]
        parameters = {"DeliveryStreamName": name, "Record": {"Data": call.payload.encode()}}
        await self._parts.client.operate("firehose", "putRecord", parameters, call.principal)

    async def _log_group(self, call: _Call) -> None:
        names = {"logGroupName": call.resource.removeprefix("log-group:").removesuffix(":*")}
        names["logStreamName"] = call.firing.name
        client = self._parts.client
        try:
            await client.call("logs", "CreateLogStream", names, call.principal)
        except CallError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise
        events = [{"timestamp": call.firing.scheduled_ms, "message": call.payload}]
        await client.call("logs", "PutLogEvents", {**names, "logEvents": events}, call.principal)

    async def _secret(self, call: _Call) -> None:
        # The token makes a rotation that was begun already be told again rather than begun twice.
        parameters = {"SecretId": call.arn, "ClientRequestToken": call.firing.name}
        try:
            await self._parts.client.call("secretsmanager", "RotateSecret", parameters, call.principal)
        except CallError as error:
            if not error.message.startswith(_REATTEMPTED):
                raise

    async def _universal(self, call: _Call) -> None:
        service, _, action = call.arn.removeprefix(_UNIVERSAL).partition(":")
        try:
            parameters = json.loads(call.payload)
        except ValueError as error:
            raise TargetError("ValidationException", f"Input is not JSON: {error}", is_final=True) from error
        if not isinstance(parameters, dict):
            raise TargetError("ValidationException", "Input is not an object.", is_final=True)
        if (service, action) == ("lambda", "invoke"):
            await self._invoke(call, parameters)
        else:
            await self._parts.client.operate(service, action, parameters, call.principal)

    async def _invoke(self, call: _Call, parameters: Mapping[str, Any]) -> None:
        function = self._named(str(parameters.get("FunctionName", "")), call, parameters.get("Qualifier"))
        payload = parameters.get("Payload", "{}")
        text = payload if isinstance(payload, str) else json.dumps(payload)
        if parameters.get("InvocationType", "RequestResponse") == "Event":
            await self._enqueue(function, call, text)
            return
        # What the function answers, an error too, is an answer of Lambda's: the target was invoked.
        async with self._parts.invoke(InvokeRequest(function, call.firing.name, text.encode())):
            return

    async def _enqueue(self, function: FunctionArn, call: _Call, text: str) -> None:
        try:
            json.loads(text)
        except ValueError:
            text = json.dumps(text)
        await self._parts.enqueue(function, text.encode(), call.firing.name)

    @staticmethod
    def _named(reference: str, call: _Call, qualifier: str | None = None) -> FunctionArn:
        principal = call.principal
        return parse_function_name(
            reference, account_id=principal.account_id, region=principal.region, qualifier=qualifier
        )

    def _require_permission(self, function: FunctionArn, call: _Call) -> None:
        firing = call.firing
        if firing.source.split(":", 3)[2] != "events":
            # EventBridge Scheduler calls with its execution role.
            return
        source = TriggerSource(_RULE_PRINCIPAL, firing.source, firing.account_id)
        reason = self._parts.permits.refusal(function, source)
        if reason is not None:
            raise TargetError("NO_PERMISSIONS", reason, is_final=True)

    async def _send_message(self, name: str, body: str, principal: Principal, more: Mapping[str, Any]) -> None:
        client = self._parts.client
        asked = {"QueueName": name, "QueueOwnerAWSAccountId": principal.account_id}
        found = await client.call("sqs", "GetQueueUrl", asked, principal)
        message = {"QueueUrl": str(found["QueueUrl"]), "MessageBody": body, **more}
        await client.call("sqs", "SendMessage", message, principal)


async def _translated(sending: Awaitable[None]) -> None:
    """Await a call and turn its errors into TargetError."""
    try:
        await sending
    except CallError as error:
        is_passing = error.status >= 500 or error.status == 429 or any(word in error.code for word in _PASSING)
        raise TargetError(error.code, error.message, is_final=not is_passing) from error
    except NeighbourError as error:
        # 501: nobody answers for this service here, and no time will change that.
        raise TargetError(error.code, error.message, is_final=error.status == 501) from error
    except UnknownOperationError as error:
        raise TargetError("ValidationException", str(error), is_final=True) from error
    except LambdaError as error:
        is_passing = isinstance(error, ServiceError) or error.code == "TooManyRequestsException"
        raise TargetError(error.code, error.message, is_final=not is_passing) from error


def _typed(attributes: Mapping[str, str]) -> dict[str, dict[str, str]]:
    return {name: {"DataType": "String", "StringValue": value} for name, value in attributes.items() if value}
