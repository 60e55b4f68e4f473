"""Which alarms ring, as CloudWatch tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from lambent.triggers.deployments.alarms import Alarms
from lambent.wire.client import Principal

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.wire.client import OutwardClient


class OneAnswer:
    """Answers with one document and remembers what it was asked."""

    asked: Mapping[str, str] | None = None

    async def query(self, asked: str, action: str, parameters: Mapping[str, str], principal: Principal) -> str:
        self.asked = {"service": asked, "action": action, **parameters}
        return (
            "<DescribeAlarmsResponse><DescribeAlarmsResult><MetricAlarms><member><AlarmName>b &amp; c</AlarmName>"
            "<StateValue>ALARM</StateValue></member></MetricAlarms><CompositeAlarms><member><AlarmName>a</AlarmName>"
            "</member></CompositeAlarms></DescribeAlarmsResult></DescribeAlarmsResponse>"
        )


async def test_only_those_that_ring_are_asked_for_and_told_in_their_order() -> None:
    client = OneAnswer()
    alarms = Alarms(cast("OutwardClient", client))
    found = await alarms.ringing(["a", "quiet", "b & c"], Principal("000000000000", "us-east-1"))
    assert found == ["a", "b & c"]
    assert client.asked is not None
    assert (client.asked["service"], client.asked["action"]) == ("cloudwatch", "DescribeAlarms")
    assert client.asked["StateValue"] == "ALARM"
    assert client.asked["AlarmNames.member.3"] == "b & c"
