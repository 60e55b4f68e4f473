"""Lambda's operations for the embedded services, which make functions as a template says."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Protocol

import msgspec

from lambent.model.caller import Caller, OperationAnswer
from lambent.model.errors import LambdaError, UnavailableError
from lambent.wire import validation
from lambent.wire.api_description import ApiDescription
from lambent.wire.conversion import ExtraneousKeyError, coerced

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from lambent.model.caller import OperationCall


class OthersServed(Protocol):
    """Other services that are served here."""

    @property
    def operations(self) -> Mapping[str, Callable[[], object]]:
        """What returns each service's operations, by its name."""


class InsideOperations:
    """Runs operations that come by no door, in the name of the account that owns a stack. Scope: process.

    `planes` returns the objects that have the operations; `base_url` how callers reach this installation. `served`
    returns the other services that are served here: their operations are called `name:Operation`.
    """

    def __init__(
        self,
        planes: Callable[[], Sequence[object]],
        base_url: Callable[[], str],
        random_bytes: Callable[[int], bytes],
        served: Callable[[], OthersServed] | None = None,
    ) -> None:
        self._planes = planes
        self._base_url = base_url
        self._random_bytes = random_bytes
        self._served = served
        self._description = ApiDescription()

    async def answer(self, call: OperationCall) -> OperationAnswer:
        """Run an operation; what is wrong with it is an answer too."""
        request_id = _uuid(self._random_bytes(16).hex())
        try:
            document = await self._run(call, request_id)
        except LambdaError as error:
            status = 400 if ":" in call.operation else self._description.error_form(error.code).status
            status = 503 if isinstance(error, UnavailableError) else status
            return OperationAnswer(b"", error.code, error.message, status, request_id)
        except (validation.WrongTypeError, ExtraneousKeyError, _RefusedError, msgspec.ValidationError) as error:
            return OperationAnswer(b"", "ValidationException", str(error), 400, request_id)
        return OperationAnswer(msgspec.json.encode(document), request_id=request_id)

    async def _run(self, call: OperationCall, request_id: str) -> object:
        name, colon, action = call.operation.partition(":")
        if colon:
            assert self._served is not None
            members = msgspec.json.decode(call.members)
            return await getattr(self._served().operations[name](), _snake(action))(
                self._caller(call, request_id), members
            )
        operation = self._description.operation(call.operation)
        shapes = operation.shapes()
        given = msgspec.json.decode(call.members)
        values = coerced(shapes.INPUT, given)
        message = validation.violations(shapes.INPUT, values)
        if message is not None:
            raise _RefusedError(message)
        request = msgspec.convert(values, shapes.REQUEST, strict=False)
        for plane in self._planes():
            method = getattr(plane, operation.module, None)
            if method is not None:
                response = await method(self._caller(call, request_id), request)
                return {} if response is None else msgspec.to_builtins(response)
        raise KeyError(call.operation)

    def _caller(self, call: OperationCall, request_id: str) -> Caller:
        return Caller(
            account_id=call.account_id,
            region=call.region,
            principal_arn=f"arn:aws:iam::{call.account_id}:root",
            request_id=request_id,
            base_url=self._base_url(),
            operation=call.operation,
            is_system=True,
        )


class _RefusedError(Exception):
    """Members that the operation does not take; the message is AWS's."""


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()


def _uuid(text: str) -> str:
    return f"{text[:8]}-{text[8:12]}-4{text[13:16]}-a{text[17:20]}-{text[20:]}"
