"""Amazon MQ for ActiveMQ as an event source, against a real one over STOMP: events, failures, losses."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.brokers import PASSWORD, USER, ActiveMq
from tests.scenario.sources.conftest import events_of, wait_state, wait_until
from tests.scenario.sources.recording import (
    close_to_now,
    is_busy,
    make_recorder,
    make_secret,
    messages,
    texts,
    wait_texts,
    wait_trouble,
)

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = [pytest.mark.long, pytest.mark.timeout(300)]

ARN = "arn:aws:mq:us-east-1:000000000000:broker:{}:b-9bcfa592-423a-4942-879d-eb284b418fc8"
PLAIN, ENCRYPTED = ARN.format("plain"), ARN.format("encrypted")


@pytest.fixture(scope="module")
def active() -> Iterator[ActiveMq]:
    """One ActiveMQ for a module's tests."""
    broker = ActiveMq()
    yield broker
    broker.remove()


def settings(active: ActiveMq) -> dict[str, str]:
    """Return where the brokers are; the first of the pair is a stand-by that does not answer."""
    plain = f"{PLAIN}=stomp://127.0.0.1:9;stomp://127.0.0.1:{active.port}"
    encrypted = f"{ENCRYPTED}=stomp+ssl://127.0.0.1:{active.tls_port}?cafile={active.certificate}"
    return {"neighbours.enabled": "true", "event_sources.brokers": f"{plain},{encrypted}"}


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory, active: ActiveMq) -> LambentServer:
    """One server for a module's tests."""
    return lambent_server_factory(settings(active))


def make_mapping(
    server: LambentServer, client: Any, name: str, arn: str = PLAIN, secret: str | None = None, **members: Any
) -> dict[str, Any]:
    """Create the mapping of a recorder and the queue of the same name."""
    made: dict[str, Any] = client.create_event_source_mapping(
        FunctionName=name,
        EventSourceArn=arn,
        Queues=[name],
        SourceAccessConfigurations=[
            {"Type": "BASIC_AUTH", "URI": secret or make_secret(server, "active", USER, PASSWORD)}
        ],
        **members,
    )
    return made


def mapped(server: LambentServer, name: str, arn: str = PLAIN, **members: Any) -> tuple[Any, dict[str, Any]]:
    """Create a recorder and its mapping; return client and mapping, Enabled."""
    client = make_recorder(server, name)
    made = make_mapping(server, client, name, arn, **members)
    wait_state(client, made["UUID"], "Enabled")
    return client, made


def test_a_text_and_a_bytes_message_become_the_documented_event(server: LambentServer, active: ActiveMq) -> None:
    active.send(
        "active-event", b"ABC:AAAA", correlation_id="myJMSCoID", reply_to="/queue/answers", type="order", priority="7",
        expires="4102444800000", index="1", myCustomProperty="a:b",
    )  # fmt: skip
    active.send("active-event", b"\xff\x00\x01", is_text=False)
    client, _ = mapped(server, "active-event", MaximumBatchingWindowInSeconds=1)
    wait_until(lambda: sum(len(messages(event)) for event in events_of(client, "active-event")) == 2)
    event = events_of(client, "active-event")[0]
    text, data = event.pop("messages")
    assert event == {"eventSource": "aws:mq", "eventSourceArn": PLAIN}
    assert text.pop("messageID").startswith("ID:")
    assert close_to_now(text.pop("timestamp"))
    assert text.pop("brokerInTime") <= text.pop("brokerOutTime")
    assert text == {
        "messageType": "jms/text-message",
        "deliveryMode": 2,
        "replyTo": "queue://answers",
        "type": "order",
        "expiration": 4102444800000,
        "priority": 7,
        "correlationId": "myJMSCoID",
        "correlationID": "myJMSCoID",
        "connectionId": "myJMSCoID",
        "redelivered": False,
        "destination": {"physicalName": "active-event"},
        "data": base64.b64encode(b"ABC:AAAA").decode(),
        "properties": {"index": "1", "myCustomProperty": "a:b"},
    }
    assert (data["messageType"], data["data"]) == ("jms/bytes-message", base64.b64encode(b"\xff\x00\x01").decode())
    assert (data["correlationId"], data["replyTo"], data["properties"]) == (None, None, {})


def test_batches_filters_and_acknowledgements(server: LambentServer, active: ActiveMq) -> None:
    active.send("active-filter", *(json.dumps({"n": n}).encode() for n in range(10)))
    pattern = json.dumps({"data": {"n": [{"numeric": [">=", 4]}]}})
    client, made = mapped(
        server, "active-filter", BatchSize=2, MaximumBatchingWindowInSeconds=1,
        FilterCriteria={"Filters": [{"Pattern": pattern}]},
    )  # fmt: skip
    wait_until(lambda: len(texts(client, "active-filter")) == 6)
    assert sorted(json.loads(text)["n"] for text in texts(client, "active-filter")) == list(range(4, 10))
    assert {len(messages(event)) for event in events_of(client, "active-filter")} == {2}
    client.update_event_source_mapping(UUID=made["UUID"], Enabled=False)
    wait_state(client, made["UUID"], "Disabled")
    # What was acknowledged is gone: the next message is the first that anybody gets.
    active.send("active-filter", b"last")
    assert active.take("active-filter").endswith("\n\nlast")


def test_a_batch_that_failed_is_redelivered_and_after_six_times_dead_lettered(
    server: LambentServer, active: ActiveMq
) -> None:
    client, _ = mapped(server, "active-fails", BatchSize=1)
    active.send("active-fails", b"fail 2", b"fail 100", b"good")
    wait_texts(client, "active-fails", "good")
    assert active.take("ActiveMQ.DLQ").endswith("\n\nfail 100")
    found = texts(client, "active-fails")
    assert (found.count("fail 2"), found.count("fail 100")) == (3, 7)
    again = [
        message["redelivered"]
        for event in events_of(client, "active-fails")
        for message in messages(event)
        if message["data"] == base64.b64encode(b"fail 2").decode()
    ]
    assert again == [False, True, True]


def test_tls(server: LambentServer, active: ActiveMq) -> None:
    active.send("active-tls", b"secret")
    client, _ = mapped(server, "active-tls", ENCRYPTED)
    wait_texts(client, "active-tls", "secret")


@pytest.mark.parametrize(
    ("name", "user", "password", "reason"),
    [
        ("active-password", USER, "wrong", "EVENT_SOURCE_AUTHN_ERROR"),
        ("active-stranger", "stranger", PASSWORD, "EVENT_SOURCE_AUTHZ_ERROR"),
    ],
)
def test_a_refusal_is_shown_and_what_is_mended_goes_on(
    server: LambentServer, active: ActiveMq, name: str, user: str, password: str, reason: str
) -> None:
    client = make_recorder(server, name)
    made = make_mapping(server, client, name, secret=make_secret(server, name, user, password))
    shown = wait_trouble(client, made["UUID"], reason)
    assert shown["LastProcessingResult"].startswith("PROBLEM: ActiveMQ at 127.0.0.1:")
    active.send(name, b"after all")
    make_secret(server, name, USER, PASSWORD)
    client.update_event_source_mapping(UUID=made["UUID"], BatchSize=7)
    wait_texts(client, name, "after all")
    wait_state(client, made["UUID"], "Enabled")


def test_a_daemon_that_is_killed_before_it_acknowledges_loses_nothing(
    lambent_server_factory: ServerFactory, active: ActiveMq
) -> None:
    server = lambent_server_factory(settings(active))
    client, made = mapped(server, "active-killed", BatchSize=1)
    # One environment, and it is busy: the batch is taken, its function has begun or is about to.
    active.send("active-killed", b"sleep 50", b"b")
    wait_until(lambda: is_busy(client, "active-killed"))
    server.kill()
    server.start()
    client = server.client()
    wait_until(lambda: client.get_event_source_mapping(UUID=made["UUID"])["State"] == "Enabled")
    wait_texts(client, "active-killed", "sleep 50", "b", seconds_max=120)


def test_a_broker_that_is_killed_comes_back_with_all_messages(server: LambentServer, active: ActiveMq) -> None:
    client, made = mapped(server, "active-back", BatchSize=1)
    active.send("active-back", b"before", b"sleep 3", b"after")
    wait_texts(client, "active-back", "before")
    active.kill()
    wait_until(
        lambda: "PROBLEM: ActiveMQ" in client.get_event_source_mapping(UUID=made["UUID"])["LastProcessingResult"]
    )
    active.start()
    wait_texts(client, "active-back", "before", "sleep 3", "after", seconds_max=120)


def test_nothing_is_lost_while_the_broker_is_killed_again_and_again(server: LambentServer, active: ActiveMq) -> None:
    client, _ = mapped(server, "active-kills", BatchSize=5, MaximumBatchingWindowInSeconds=0)
    wanted = [f"message {number}" for number in range(300)]
    for first in range(0, 300, 100):
        active.send("active-kills", *(text.encode() for text in wanted[first : first + 100]))
        active.kill()
        active.start()
    wait_texts(client, "active-kills", *wanted, seconds_max=120)
