"""Bringing events back from a queue of dead letters or records to the functions they were for."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lambent.model.arn import FunctionArn, parse_function_name
from lambent.model.errors import InvalidParameterValueError, LambdaError, UnavailableError
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from lambent.events.queue import AsyncInvocations
    from lambent.events.queue_urls import QueueUrls
    from lambent.model.caller import Caller
    from lambent.wire.client import OutwardClient

_RECEIVED_AT_ONCE = 10


class Redrive:
    """Scope: none; keeps nothing. A crash in the middle: a message may come back once more, none is lost."""

    def __init__(self, client: OutwardClient, queue_urls: QueueUrls, invocations: AsyncInvocations) -> None:
        self._client = client
        self._queue_urls = queue_urls
        self._invocations = invocations

    async def redrive(self, caller: Caller, queue_arn: str, function: str | None, limit: int) -> int:
        """Take up to `limit` messages out of a queue of SQS into the functions' queues; return how many.

        A record of an invocation says which function it was for. For dead letters, which do not, `function` must.

        Raises:
            InvalidParameterValueError: it is no queue's ARN, or a message does not say whose it was (400).
            UnavailableError: SQS does not answer (503).
            LambdaError: a function does not take its event; messages so far are brought back.
        """
        parts = queue_arn.split(":")
        if len(parts) != 6 or parts[2] != "sqs":
            raise InvalidParameterValueError(f"{queue_arn} is not the ARN of a queue of SQS.")
        wanted = None if function is None else _function(caller, function)
        principal = Principal(caller.account_id, parts[3])
        try:
            url = await self._queue_urls.find(queue_arn, principal)
            done = 0
            while done < limit:
                number = min(limit - done, _RECEIVED_AT_ONCE)
                asked_for = {"QueueUrl": url, "MaxNumberOfMessages": number, "WaitTimeSeconds": 0}
                answer = await self._client.call("sqs", "ReceiveMessage", asked_for, principal)
                messages = answer.get("Messages") or []
                for message in messages:
                    await self._bring_back(caller, message, wanted)
                    gone = {"QueueUrl": url, "ReceiptHandle": message["ReceiptHandle"]}
                    await self._client.call("sqs", "DeleteMessage", gone, principal)
                    done += 1
                if not messages:
                    break
        except (CallError, NeighbourError) as error:
            self._queue_urls.forget(queue_arn)
            raise _told(queue_arn, error) from error
        return done

    async def _bring_back(self, caller: Caller, message: dict[str, Any], wanted: FunctionArn | None) -> None:
        body = str(message["Body"])
        function, payload = wanted, body
        try:
            record = json.loads(body)
        except ValueError:
            record = None
        if isinstance(record, dict) and "requestPayload" in record and "requestContext" in record:
            payload = json.dumps(record["requestPayload"], separators=(",", ":"))
            arn = str(record["requestContext"].get("functionArn", ""))
            function = wanted or _function(caller, arn.removesuffix(":$LATEST"))
        if function is None:
            raise InvalidParameterValueError("A dead letter does not say which function it was for: name it.")
        await self._invocations.enqueue(function, payload.encode(), None)


def _function(caller: Caller, reference: str) -> FunctionArn:
    function = parse_function_name(reference, account_id=caller.account_id, region=caller.region)
    if (function.account_id, function.region) != (caller.account_id, caller.region):
        raise InvalidParameterValueError(f"{function} belongs to another account or region.")
    return function


def _told(queue_arn: str, error: Exception) -> LambdaError:
    if isinstance(error, CallError) and error.status < 500:
        return InvalidParameterValueError(f"The queue {queue_arn} cannot be read: {error}.")
    return UnavailableError(f"The queue {queue_arn} cannot be read: {error}.")
