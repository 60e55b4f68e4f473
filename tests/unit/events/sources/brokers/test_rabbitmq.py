"""What becomes of calls when the library gives a connection up."""

from __future__ import annotations

import asyncio
from typing import Any, cast

import aiormq
import pytest

from lambent.clock import SystemClock
from lambent.events.sources.brokers.addresses import BrokerAddress, Login
from lambent.events.sources.brokers.rabbitmq import RabbitMq
from lambent.events.sources.source import SourceError, SourceRecord, Trouble
from lambent.model.configs.event_source import EventSourceMapping

MAPPING = EventSourceMapping("000000000000", "us-east-1", "u", "r", "f", 0, event_source_arn="arn", queues=("q",))
RECORDS = [SourceRecord({}, {}, str(number), 1, str(number)) for number in (1, 2)]


class Channel:
    """A channel whose acknowledgements end as the test says."""

    def __init__(self, outcome: BaseException | None = None) -> None:
        self.outcome = outcome
        self.is_closed = False
        self.acknowledged: list[tuple[int, bool]] = []

    async def basic_ack(self, tag: int, *, wait: bool) -> None:
        if self.outcome is not None:
            raise self.outcome
        self.acknowledged.append((tag, wait))


def broker(channel: Channel) -> RabbitMq:
    """Return a broker that is connected by this channel."""
    made = RabbitMq(MAPPING, BrokerAddress("amqp", "host", 5672), Login("u", "p", "/"), SystemClock())
    made._channel = cast("Any", channel)
    return made


async def test_the_last_acknowledgement_of_a_batch_is_waited_for() -> None:
    channel = Channel()
    await broker(channel).remove(RECORDS)
    assert channel.acknowledged == [(1, False), (2, True)]


@pytest.mark.parametrize(
    ("outcome", "text", "trouble"),
    [
        (asyncio.CancelledError(), "the connection was lost", None),
        (aiormq.ConnectionClosed(320, "CONNECTION_FORCED"), "320: CONNECTION_FORCED", None),
        (aiormq.ChannelInvalidStateError("closed"), "closed", None),
        (ConnectionResetError("reset"), "reset", None),
        (aiormq.ChannelNotFoundEntity("no queue"), "no queue q in virtual host /", Trouble.CONFIG),
        (aiormq.ChannelAccessRefused("ACCESS_REFUSED"), "ACCESS_REFUSED", Trouble.AUTHORIZATION),
    ],
)
async def test_whatever_ends_a_call_is_told_as_a_trouble_of_the_source(
    outcome: BaseException, text: str, trouble: Trouble | None
) -> None:
    with pytest.raises(SourceError) as caught:
        await broker(Channel(outcome)).remove(RECORDS)
    assert str(caught.value) == f"RabbitMQ at host:5672: {text}"
    assert caught.value.trouble is trouble


async def test_nothing_is_written_on_a_channel_that_is_closed() -> None:
    channel = Channel()
    channel.is_closed = True
    with pytest.raises(SourceError, match="lost"):
        await broker(channel).remove(RECORDS)
    assert channel.acknowledged == []


async def test_who_cancels_the_poller_is_heard() -> None:
    channel = Channel()
    begun = asyncio.Event()

    async def hang(tag: int, *, wait: bool) -> None:
        begun.set()
        await asyncio.Event().wait()

    channel.basic_ack = hang  # type: ignore[method-assign]
    async with asyncio.TaskGroup() as tasks:
        settling = tasks.create_task(broker(channel).remove(RECORDS))
        await begun.wait()
        settling.cancel()
    assert settling.cancelled()
