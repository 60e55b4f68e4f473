"""A queue is asked for once."""

from __future__ import annotations

from typing import Any

from lambent.events.queue_urls import QueueRef, QueueUrls
from lambent.wire.client import Principal

ARN = "arn:aws:sqs:eu-west-1:000000000001:orders"


class Sqs:
    """Answers, and remembers who asked for what."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str]] = []

    async def call(self, _service: str, action: str, body: dict[str, Any], principal: Principal) -> dict[str, Any]:
        self.asked.append((action, principal.account_id))
        if action == "GetQueueUrl":
            return {"QueueUrl": f"http://queues/{body['QueueOwnerAWSAccountId']}/{body['QueueName']}"}
        return {"Attributes": {"VisibilityTimeout": "7"}}


def test_parts() -> None:
    assert QueueRef.of(ARN) == ("orders", Principal("000000000001", "eu-west-1"))


async def test_a_url_is_remembered_until_it_is_forgotten() -> None:
    client: Any = Sqs()
    urls = QueueUrls(client)
    assert await urls.find(ARN) == "http://queues/000000000001/orders"
    assert await urls.visibility_seconds(ARN) == 7
    assert client.asked == [("GetQueueUrl", "000000000001"), ("GetQueueAttributes", "000000000001")]
    urls.forget(ARN)
    await urls.find(ARN)
    await urls.find(ARN)
    assert len(client.asked) == 3


async def test_another_account_asks_for_itself() -> None:
    client: Any = Sqs()
    await QueueUrls(client).find(ARN, Principal("000000000002", "eu-west-1"))
    assert client.asked == [("GetQueueUrl", "000000000002")]
