"""Amazon MQ for RabbitMQ as an event source, against a real one: events, order, failures, losses."""

from __future__ import annotations

import base64
import datetime
import json
from typing import TYPE_CHECKING, Any

import aiormq
import pytest
from pamqp.commands import Basic

from tests.brokers import PASSWORD, USER, RabbitMq
from tests.loops import run_apart
from tests.scenario.sources.conftest import events_of, wait_state, wait_until
from tests.scenario.sources.recording import (
    is_busy,
    make_recorder,
    make_secret,
    messages,
    texts,
    wait_texts,
    wait_trouble,
)

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterator

    from aiormq.abc import AbstractChannel

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ARN = "arn:aws:mq:us-east-1:000000000000:broker:{}:b-9bcfa592-423a-4942-879d-eb284b418fc8"
PLAIN, ENCRYPTED, NOWHERE, UNKNOWN = (ARN.format(name) for name in ("plain", "encrypted", "nowhere", "unknown"))


@pytest.fixture(scope="module")
def rabbit() -> Iterator[RabbitMq]:
    """One RabbitMQ for a module's tests."""
    broker = RabbitMq()
    yield broker
    broker.remove()


def settings(rabbit: RabbitMq) -> dict[str, str]:
    """Return where the brokers are."""
    places = {
        PLAIN: f"amqp://127.0.0.1:{rabbit.port}",
        ENCRYPTED: f"amqps://127.0.0.1:{rabbit.tls_port}?cafile={rabbit.certificate}",
        NOWHERE: "amqp://127.0.0.1:9",
    }
    return {
        "neighbours.enabled": "true",
        "event_sources.brokers": ",".join(f"{arn}={place}" for arn, place in places.items()),
    }


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory, rabbit: RabbitMq) -> LambentServer:
    """One server for a module's tests."""
    return lambent_server_factory(settings(rabbit))


def on_channel(rabbit: RabbitMq, work: Callable[[AbstractChannel], Awaitable[Any]], vhost: str = "") -> Any:
    """Do some work on a channel and return what it returns."""

    async def main() -> Any:
        url = f"amqp://{USER}:{PASSWORD}@127.0.0.1:{rabbit.port}/{vhost}"
        connection = await aiormq.connect(url)
        try:
            return await work(await connection.channel())
        finally:
            await connection.close()

    return run_apart(main())


def make_queue(rabbit: RabbitMq, name: str, vhost: str = "", **arguments: Any) -> None:
    """Make a durable queue."""
    named = {key.replace("_", "-"): value for key, value in arguments.items()}
    on_channel(rabbit, lambda channel: channel.queue_declare(name, durable=True, arguments=named), vhost)


def publish(rabbit: RabbitMq, queue: str, *bodies: str | bytes, vhost: str = "") -> None:
    """Send messages that a crash does not lose."""

    async def work(channel: AbstractChannel) -> None:
        for body in bodies:
            data = body.encode() if isinstance(body, str) else body
            properties = Basic.Properties(delivery_mode=2)
            await channel.basic_publish(data, routing_key=queue, properties=properties)

    on_channel(rabbit, work, vhost)


def waiting(rabbit: RabbitMq, queue: str) -> int:
    """Return how many messages nobody has taken."""
    answer = on_channel(rabbit, lambda channel: channel.queue_declare(queue, passive=True))
    return int(answer.message_count)


def mapped(server: LambentServer, name: str, arn: str = PLAIN, **members: Any) -> tuple[Any, dict[str, Any]]:
    """Create a recorder and its mapping of a queue of the same name; return client and mapping, Enabled."""
    client = make_recorder(server, name)
    made = make_mapping(server, client, name, arn, **members)
    wait_state(client, made["UUID"], "Enabled")
    return client, made


def make_mapping(server: LambentServer, client: Any, name: str, arn: str = PLAIN, **members: Any) -> dict[str, Any]:
    """Create the mapping only."""
    asked = {
        "Queues": [name],
        "SourceAccessConfigurations": [
            {"Type": "BASIC_AUTH", "URI": make_secret(server, "rabbit", USER, PASSWORD)},
        ],
        **members,
    }
    made: dict[str, Any] = client.create_event_source_mapping(FunctionName=name, EventSourceArn=arn, **asked)
    return made


def test_a_message_becomes_the_documented_event(server: LambentServer, rabbit: RabbitMq) -> None:
    make_queue(rabbit, "rabbit-event")
    client, made = mapped(server, "rabbit-event")
    assert (made["BatchSize"], made["Queues"]) == (100, ["rabbit-event"])
    assert (made["LastProcessingResult"], made["StateTransitionReason"]) == ("No records processed", "USER_INITIATED")
    assert "MaximumBatchingWindowInSeconds" not in made
    moment = datetime.datetime(1970, 1, 1, 0, 33, 41, tzinfo=datetime.UTC)
    properties = Basic.Properties(
        content_type="text/plain",
        headers={"header1": "value1", "numberInHeader": 10, "flag": True, "nested": {"a": "b"}},
        delivery_mode=1, priority=34, expiration="60000", message_id="m", timestamp=moment, user_id=USER,
    )  # fmt: skip
    body = json.dumps({"timeout": 0}).encode()
    on_channel(rabbit, lambda channel: channel.basic_publish(body, routing_key="rabbit-event", properties=properties))
    (event,) = wait_until(lambda: events_of(client, "rabbit-event"))
    (message,) = event.pop("rmqMessagesByQueue").pop("rabbit-event::/")
    assert event == {"eventSource": "aws:rmq", "eventSourceArn": PLAIN}
    assert message.pop("basicProperties") == {
        "contentType": "text/plain",
        "contentEncoding": None,
        "headers": {
            "header1": {"bytes": [118, 97, 108, 117, 101, 49]},
            "numberInHeader": 10,
            "flag": True,
            "nested": {"a": {"bytes": [98]}},
        },
        "deliveryMode": 1,
        "priority": 34,
        "correlationId": None,
        "replyTo": None,
        "expiration": "60000",
        "messageId": "m",
        "timestamp": "Jan 1, 1970, 12:33:41 AM",
        "type": None,
        "userId": USER,
        "appId": None,
        "clusterId": None,
        "bodySize": len(body),
    }
    assert message == {"redelivered": False, "data": base64.b64encode(body).decode()}
    wait_until(lambda: client.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"] == "OK")


def test_batches_in_order_and_what_no_filter_wants_is_acknowledged(server: LambentServer, rabbit: RabbitMq) -> None:
    make_queue(rabbit, "rabbit-filter")
    publish(rabbit, "rabbit-filter", "no json", *(json.dumps({"n": n}) for n in range(10)))
    pattern = json.dumps({"data": {"n": [{"numeric": [">=", 2]}]}})
    client, made = mapped(
        server, "rabbit-filter", BatchSize=3, MaximumBatchingWindowInSeconds=1,
        FilterCriteria={"Filters": [{"Pattern": pattern}]},
    )  # fmt: skip
    wait_until(lambda: len(texts(client, "rabbit-filter")) == 8)
    assert [json.loads(text)["n"] for text in texts(client, "rabbit-filter")] == list(range(2, 10))
    assert [len(messages(event)) for event in events_of(client, "rabbit-filter")] == [3, 3, 2]
    client.update_event_source_mapping(UUID=made["UUID"], Enabled=False)
    wait_state(client, made["UUID"], "Disabled")
    assert waiting(rabbit, "rabbit-filter") == 0


def test_six_megabytes_are_a_batch_and_what_is_larger_is_dead_lettered(server: LambentServer, rabbit: RabbitMq) -> None:
    make_queue(rabbit, "rabbit-dead")
    make_queue(rabbit, "rabbit-large", x_dead_letter_exchange="", x_dead_letter_routing_key="rabbit-dead")
    large = b"x" * 2_500_000
    publish(rabbit, "rabbit-large", large, large, b"y" * 5_000_000, "small")
    client, _ = mapped(server, "rabbit-large", MaximumBatchingWindowInSeconds=2)
    wait_until(lambda: "small" in texts(client, "rabbit-large"))
    sizes = [
        [message["basicProperties"]["bodySize"] for message in messages(event)]
        for event in events_of(client, "rabbit-large")
    ]
    assert sizes == [[2_500_000], [2_500_000, 5]]
    wait_until(lambda: waiting(rabbit, "rabbit-dead") == 1)


def test_a_batch_that_failed_comes_again_and_the_queue_counts(server: LambentServer, rabbit: RabbitMq) -> None:
    make_queue(rabbit, "rabbit-lost")
    make_queue(
        rabbit, "rabbit-fails", x_queue_type="quorum", x_delivery_limit=2, x_dead_letter_exchange="",
        x_dead_letter_routing_key="rabbit-lost",
    )  # fmt: skip
    client, made = mapped(server, "rabbit-fails", BatchSize=1)
    publish(rabbit, "rabbit-fails", "fail 1", "fail 100", "good")
    wait_until(lambda: waiting(rabbit, "rabbit-lost") == 1, 60)
    wait_texts(client, "rabbit-fails", "good")
    found = texts(client, "rabbit-fails")
    assert (found.count("fail 1"), found.count("fail 100"), found.count("good")) == (2, 3, 1)
    again = [
        message["redelivered"]
        for event in events_of(client, "rabbit-fails")
        for message in messages(event)
        if message["data"] == base64.b64encode(b"fail 1").decode()
    ]
    assert again == [False, True]
    assert client.get_event_source_mapping(UUID=made["UUID"])["State"] == "Enabled"


def test_a_virtual_host_has_queues_of_its_own(server: LambentServer, rabbit: RabbitMq) -> None:
    make_queue(rabbit, "rabbit-host", "plant")
    secret = make_secret(server, "rabbit", USER, PASSWORD)
    access = [{"Type": "VIRTUAL_HOST", "URI": "plant"}, {"Type": "BASIC_AUTH", "URI": secret}]
    client, _ = mapped(server, "rabbit-host", SourceAccessConfigurations=access)
    publish(rabbit, "rabbit-host", "here", vhost="plant")
    (event,) = wait_until(lambda: events_of(client, "rabbit-host"))
    assert list(event["rmqMessagesByQueue"]) == ["rabbit-host::plant"]


def test_tls(server: LambentServer, rabbit: RabbitMq) -> None:
    make_queue(rabbit, "rabbit-tls")
    publish(rabbit, "rabbit-tls", "secret")
    client, _ = mapped(server, "rabbit-tls", ENCRYPTED)
    wait_texts(client, "rabbit-tls", "secret")


@pytest.mark.parametrize(
    ("name", "user", "password", "host", "reason"),
    [
        ("rabbit-password", USER, "wrong", "/", "EVENT_SOURCE_AUTHN_ERROR"),
        ("rabbit-stranger", "stranger", PASSWORD, "/", "EVENT_SOURCE_AUTHZ_ERROR"),
        ("rabbit-no-host", USER, PASSWORD, "absent", "ESM_CONFIG_NOT_VALID"),
        ("rabbit-no-queue", USER, PASSWORD, "/", "ESM_CONFIG_NOT_VALID"),
    ],
)
def test_a_refusal_is_shown_and_what_is_mended_goes_on(
    server: LambentServer, rabbit: RabbitMq, name: str, user: str, password: str, host: str, reason: str
) -> None:
    client = make_recorder(server, name)
    secret = make_secret(server, name, user, password)
    access = [{"Type": "VIRTUAL_HOST", "URI": host}, {"Type": "BASIC_AUTH", "URI": secret}]
    made = make_mapping(server, client, name, SourceAccessConfigurations=access)
    shown = wait_trouble(client, made["UUID"], reason)
    assert shown["LastProcessingResult"].startswith("PROBLEM: RabbitMQ at 127.0.0.1:")
    assert password not in shown["LastProcessingResult"]
    make_queue(rabbit, name)
    publish(rabbit, name, "after all")
    make_secret(server, name, USER, PASSWORD)
    access[0]["URI"] = "/"
    client.update_event_source_mapping(UUID=made["UUID"], SourceAccessConfigurations=access, BatchSize=7)
    wait_state(client, made["UUID"], "Enabled")
    wait_texts(client, name, "after all")


def test_a_broker_that_is_not_there_stalls_nobody(server: LambentServer, rabbit: RabbitMq) -> None:
    client = make_recorder(server, "rabbit-nowhere")
    made = make_mapping(server, client, "rabbit-nowhere", NOWHERE)
    unknown = make_mapping(server, client, "rabbit-nowhere", UNKNOWN)
    make_queue(rabbit, "rabbit-beside")
    other, _ = mapped(server, "rabbit-beside")
    publish(rabbit, "rabbit-beside", "mine")
    wait_texts(other, "rabbit-beside", "mine")
    shown = wait_until(
        lambda: (
            (one := client.get_event_source_mapping(UUID=made["UUID"]))["LastProcessingResult"]
            != "No records processed"
            and one
        )
    )
    assert shown["LastProcessingResult"].startswith("PROBLEM: RabbitMQ at 127.0.0.1:9")
    shown = wait_trouble(client, unknown["UUID"], "ESM_CONFIG_NOT_VALID")
    assert shown["LastProcessingResult"] == f"PROBLEM: the setting event_sources.brokers has no address for {UNKNOWN}"


def test_a_queue_that_is_deleted_and_made_anew(server: LambentServer, rabbit: RabbitMq) -> None:
    make_queue(rabbit, "rabbit-anew")
    client, made = mapped(server, "rabbit-anew")
    on_channel(rabbit, lambda channel: channel.queue_delete("rabbit-anew"))
    wait_trouble(client, made["UUID"], "ESM_CONFIG_NOT_VALID")
    make_queue(rabbit, "rabbit-anew")
    publish(rabbit, "rabbit-anew", "again")
    wait_texts(client, "rabbit-anew", "again", seconds_max=90)


def test_a_throttled_batch_stays_with_its_broker_and_is_delivered_once(server: LambentServer, rabbit: RabbitMq) -> None:
    make_queue(rabbit, "rabbit-throttled")
    client, made = mapped(server, "rabbit-throttled")
    client.put_function_concurrency(FunctionName="rabbit-throttled", ReservedConcurrentExecutions=0)
    publish(rabbit, "rabbit-throttled", "later")
    throttled = "PROBLEM: Function throttled"
    wait_until(lambda: client.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"] == throttled)
    client.put_function_concurrency(FunctionName="rabbit-throttled", ReservedConcurrentExecutions=1)
    assert wait_texts(client, "rabbit-throttled", "later") == ["later"]
    (message,) = messages(events_of(client, "rabbit-throttled")[0])
    assert message["redelivered"] is False


def test_a_daemon_that_is_killed_before_it_acknowledges_loses_nothing(
    lambent_server_factory: ServerFactory, rabbit: RabbitMq
) -> None:
    server = lambent_server_factory(settings(rabbit))
    make_queue(rabbit, "rabbit-killed")
    client, _ = mapped(server, "rabbit-killed", BatchSize=2)
    publish(rabbit, "rabbit-killed", "sleep 600", "b", "c")
    wait_until(lambda: is_busy(client, "rabbit-killed"))
    server.kill()
    wait_until(lambda: waiting(rabbit, "rabbit-killed") == 3)
    on_channel(rabbit, lambda channel: channel.basic_get("rabbit-killed", no_ack=True))
    server.start()
    client = server.client()
    assert wait_texts(client, "rabbit-killed", "b", "c") == ["b", "c"]
    assert all(message["redelivered"] for event in events_of(client, "rabbit-killed") for message in messages(event))


def test_a_broker_that_is_killed_comes_back_with_all_messages(server: LambentServer, rabbit: RabbitMq) -> None:
    make_queue(rabbit, "rabbit-back")
    client, made = mapped(server, "rabbit-back", BatchSize=1)
    publish(rabbit, "rabbit-back", "before", "sleep 3", "after")
    wait_texts(client, "rabbit-back", "before")
    rabbit.kill()
    wait_until(
        lambda: "PROBLEM: RabbitMQ" in client.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"]
    )
    rabbit.start()
    wait_texts(client, "rabbit-back", "before", "sleep 3", "after", seconds_max=120)
    wait_until(lambda: waiting(rabbit, "rabbit-back") == 0)


def test_nothing_is_lost_while_the_broker_is_killed_again_and_again(server: LambentServer, rabbit: RabbitMq) -> None:
    make_queue(rabbit, "rabbit-kills")
    client, _ = mapped(server, "rabbit-kills", BatchSize=5, MaximumBatchingWindowInSeconds=0)
    wanted = [f"message {number}" for number in range(300)]
    for first in range(0, 300, 100):
        publish(rabbit, "rabbit-kills", *wanted[first : first + 100])
        rabbit.kill()
        rabbit.start()
    wait_texts(client, "rabbit-kills", *wanted, seconds_max=120)
    wait_until(lambda: waiting(rabbit, "rabbit-kills") == 0)
