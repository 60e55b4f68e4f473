"""CloudWatch Logs as log lines are delivered to it: refusals are values, everything passing is worth another try."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.wire.client import CallError, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.wire.client import OutwardClient

_PASSING = frozenset({"ThrottlingException", "ServiceUnavailableException", "OperationAbortedException"})


class LogsEndpoint:
    """Speaks to the configured CloudWatch Logs. Scope: process; keeps nothing."""

    def __init__(self, client: OutwardClient) -> None:
        self._client = client

    async def send(self, action: str, body: Mapping[str, object], account_id: str, region: str) -> str | None:
        """Call an operation; return None when it was done, else the error's code.

        Raises ConnectionError when it may be tried again.
        """
        try:
            await self._client.call("logs", action, body, Principal(account_id, region))
        except CallError as refused:
            if refused.status >= 500 or refused.code in _PASSING:
                raise ConnectionError(str(refused)) from refused
            return refused.code
        except NeighbourError as error:
            raise ConnectionError(error.message) from error
        return None
