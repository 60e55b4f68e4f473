"""What a trigger of a repository names: a function, whose event goes through the durable queue, or a topic."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lambent.model.arn import parse_function_name
from lambent.model.errors import LambdaError, ServiceError
from lambent.model.invocation import TriggerSource
from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from lambent.model.configs.repository import Repository, RepositoryTrigger
    from lambent.triggers.schedules import TargetParts

PRINCIPAL = "codecommit.amazonaws.com"


class UndeliveredError(Exception):
    """An event was not taken; the text says why. `is_final`: trying again is of no use."""

    def __init__(self, text: str, *, is_final: bool) -> None:
        super().__init__(text)
        self.is_final = is_final


class TriggerDestinations:
    """Tells functions and topics. Scope: process; keeps nothing."""

    def __init__(self, parts: TargetParts) -> None:
        self._parts = parts

    async def tell(self, repository: Repository, trigger: RepositoryTrigger, event: Any, name: str) -> None:  # noqa: ANN401
        """Hand an event over; a function's is on disk when this returns, and taken once for each `name`.

        Raises:
            UndeliveredError: it was not taken.
        """
        try:
            if trigger.destination_arn.split(":", 3)[2] == "sns":
                await self._topic(repository, trigger, event)
            else:
                await self._function(repository, trigger, event, name)
        except CallError as error:
            is_passing = error.status >= 500 or error.status == 429
            raise UndeliveredError(f"{error.code}: {error.message}", is_final=not is_passing) from error
        except NeighbourError as error:
            raise UndeliveredError(error.message, is_final=error.status == 501) from error
        except LambdaError as error:
            is_passing = isinstance(error, ServiceError) or error.code == "TooManyRequestsException"
            raise UndeliveredError(error.message, is_final=not is_passing) from error

    async def _function(self, repository: Repository, trigger: RepositoryTrigger, event: Any, name: str) -> None:  # noqa: ANN401
        parts = self._parts
        function = parse_function_name(
            trigger.destination_arn, account_id=repository.account_id, region=repository.region
        )
        parts.knows(function)
        reason = parts.permits.refusal(function, TriggerSource(PRINCIPAL, repository.arn, repository.account_id))
        if reason is not None:
            raise UndeliveredError(reason, is_final=True)
        await parts.enqueue(function, json.dumps(event, separators=(",", ":")).encode(), name)

    async def _topic(self, repository: Repository, trigger: RepositoryTrigger, event: Any) -> None:  # noqa: ANN401
        said = {"Version": "2010-03-31", "TopicArn": trigger.destination_arn, "Message": json.dumps(event)}
        await self._parts.client.query("sns", "Publish", said, Principal(repository.account_id, repository.region))
