"""Alarms of CloudWatch that stop a deployment."""

from __future__ import annotations

import html
import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from lambent.wire.client import OutwardClient, Principal

_NAME = re.compile(r"<AlarmName>([^<]*)</AlarmName>")
_KINDS = {"AlarmTypes.member.1": "MetricAlarm", "AlarmTypes.member.2": "CompositeAlarm"}


class Alarms:
    """Scope: process; keeps nothing."""

    def __init__(self, client: OutwardClient) -> None:
        self._client = client

    async def ringing(self, names: Sequence[str], principal: Principal) -> list[str]:
        """Return those of the named alarms that are in the state ALARM, in their order.

        Raises:
            CallError, NeighbourError: CloudWatch does not tell.
        """
        wanted = {f"AlarmNames.member.{number}": name for number, name in enumerate(names, 1)}
        parameters = {"Version": "2010-08-01", "StateValue": "ALARM", **_KINDS, **wanted}
        answer = await self._client.query("cloudwatch", "DescribeAlarms", parameters, principal)
        found = {html.unescape(name) for name in _NAME.findall(answer)}
        return [name for name in names if name in found]
