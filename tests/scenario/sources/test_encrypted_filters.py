"""Filters under a KMS key: nothing in clear at rest, shown to who may decrypt, and in force only then."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.fake_kms import KEY, OTHER_KEY, FakeKms
from tests.running import create_function
from tests.scenario.sources.conftest import RECORDER, events_of, wait_state, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.long

WORD = "a-word-that-stands-nowhere-else"
# Longer than what KMS itself encrypts.
PATTERN = json.dumps({"body": {"word": [WORD, *(f"{number:04}" * 25 for number in range(35))]}})
CRITERIA = {"Filters": [{"Pattern": PATTERN}]}
DENIED = ("AccessDeniedException", "not for you")


@pytest.fixture(scope="module")
def kms() -> Iterator[FakeKms]:
    with FakeKms() as served:
        yield served


@pytest.fixture(scope="module")
def keyed(kms: FakeKms, lambent_server_factory: ServerFactory) -> LambentServer:
    return lambent_server_factory({"neighbours.kms.endpoint": kms.url, "neighbours.enabled": "true"})


@pytest.fixture(autouse=True)
def _all_keys_work(kms: FakeKms) -> None:
    kms.refusals.clear()
    kms.calls.clear()


def made(server: LambentServer, name: str, **members: Any) -> tuple[Any, str, str]:
    """Create a recorder and a queue's mapping with filters; return client, mapping's id and the queue's URL."""
    client, sqs = server.client(), server.client("sqs")
    url = sqs.create_queue(QueueName=name)["QueueUrl"]
    create_function(client, name, {"index.py": RECORDER})
    client.put_function_concurrency(FunctionName=name, ReservedConcurrentExecutions=1)
    arn = f"arn:aws:sqs:us-east-1:000000000000:{name}"
    asked = {"FilterCriteria": CRITERIA, "KMSKeyArn": KEY, **members}
    answer = client.create_event_source_mapping(EventSourceArn=arn, FunctionName=name, **asked)
    assert answer["FilterCriteria"] == asked["FilterCriteria"]
    return client, answer["UUID"], url


def send(server: LambentServer, url: str, *words: str) -> None:
    """Send a message for each word."""
    for word in words:
        server.client("sqs").send_message(QueueUrl=url, MessageBody=json.dumps({"word": word}))


def words(client: Any, name: str) -> list[str]:
    """Return the words that the function has got."""
    return [json.loads(one["body"])["word"] for event in events_of(client, name) for one in event["Records"]]


def test_filters_are_encrypted_at_rest_and_hold(keyed: LambentServer, kms: FakeKms) -> None:
    client, mapping_id, url = made(keyed, "sealed")
    action, asked = kms.calls[0]
    assert (action, asked["KeyId"]) == ("GenerateDataKey", KEY)
    assert asked["EncryptionContext"] == {
        "aws:lambda:FunctionArn": "arn:aws:lambda:us-east-1:000000000000:function:sealed",
        "aws:lambda:EventSourceArn": "arn:aws:sqs:us-east-1:000000000000:sealed",
    }
    wait_state(client, mapping_id, "Enabled")
    send(keyed, url, "other", WORD)
    wait_until(lambda: words(client, "sealed") == [WORD])
    found = client.get_event_source_mapping(UUID=mapping_id)
    assert (found["FilterCriteria"], found["KMSKeyArn"]) == (CRITERIA, KEY)
    (listed,) = client.list_event_source_mappings(FunctionName="sealed")["EventSourceMappings"]
    assert "FilterCriteria" not in listed
    assert listed["KMSKeyArn"] == KEY
    client.update_event_source_mapping(UUID=mapping_id, Enabled=False)
    keyed.stop()
    kept = b"".join(path.read_bytes() for path in keyed.data_dir.glob("*.db*"))
    assert kept
    assert WORD.encode() not in kept
    keyed.start()
    client = keyed.client()
    client.update_event_source_mapping(UUID=mapping_id, Enabled=True)
    wait_state(client, mapping_id, "Enabled")
    send(keyed, url, "other", WORD)
    wait_until(lambda: words(client, "sealed") == [WORD])
    assert client.delete_event_source_mapping(UUID=mapping_id)["FilterCriteria"] == CRITERIA


def test_a_key_that_is_refused_shows_why_and_nothing_is_polled(keyed: LambentServer, kms: FakeKms) -> None:
    client, mapping_id, url = made(keyed, "refused", Enabled=False)
    kms.refusals[KEY] = DENIED
    client.update_event_source_mapping(UUID=mapping_id, Enabled=True)
    found = client.get_event_source_mapping(UUID=mapping_id)
    assert "FilterCriteria" not in found
    assert found["FilterCriteriaError"]["ErrorCode"] == "AccessDeniedException"
    assert "not for you" in found["FilterCriteriaError"]["Message"]
    send(keyed, url, WORD)
    wait_until(
        lambda: (
            "not for you" in client.get_event_source_mapping(UUID=mapping_id).get("LastProcessingResult", "not for you")
        )
    )
    assert words(client, "refused") == []
    kms.refusals.clear()
    wait_state(client, mapping_id, "Enabled")
    wait_until(lambda: words(client, "refused") == [WORD])


def test_keys_and_filters_change(keyed: LambentServer, kms: FakeKms) -> None:
    client, mapping_id, _ = made(keyed, "changed", Enabled=False)
    client.update_event_source_mapping(UUID=mapping_id, KMSKeyArn=OTHER_KEY)
    assert [(action, asked["KeyId"]) for action, asked in kms.calls[-2:]] == [
        ("Decrypt", KEY),
        ("GenerateDataKey", OTHER_KEY),
    ]
    assert client.get_event_source_mapping(UUID=mapping_id)["FilterCriteria"] == CRITERIA
    other = {"Filters": [{"Pattern": '{"body": {"n": [1]}}'}]}
    assert client.update_event_source_mapping(UUID=mapping_id, FilterCriteria=other)["FilterCriteria"] == other
    kms.refusals[OTHER_KEY] = DENIED
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="not for you"):
        client.update_event_source_mapping(UUID=mapping_id, KMSKeyArn=KEY)
    kms.refusals.clear()
    client.update_event_source_mapping(UUID=mapping_id, KMSKeyArn="")
    found = client.get_event_source_mapping(UUID=mapping_id)
    assert found["FilterCriteria"] == other
    assert "KMSKeyArn" not in found
    kms.calls.clear()
    client.get_event_source_mapping(UUID=mapping_id)
    assert kms.calls == []


def test_a_key_that_does_not_encrypt_is_refused(keyed: LambentServer, kms: FakeKms) -> None:
    kms.refusals[KEY] = DENIED
    with pytest.raises(Exception, match="not for you"):
        made(keyed, "never")


def test_the_embedded_key_service_does(server: LambentServer) -> None:
    key = server.client("kms").create_key()["KeyMetadata"]["Arn"]
    client, mapping_id, url = made(server, "embedded", KMSKeyArn=key)
    wait_state(client, mapping_id, "Enabled")
    send(server, url, "other", WORD)
    wait_until(lambda: words(client, "embedded") == [WORD])
    assert client.get_event_source_mapping(UUID=mapping_id)["FilterCriteria"] == CRITERIA
