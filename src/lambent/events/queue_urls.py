"""Where queues of SQS are: their URLs, which only the service knows."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from lambent.wire.client import Principal

if TYPE_CHECKING:
    from lambent.wire.client import OutwardClient

_QUEUES_MAX = 1_024
# Source: developer guide, "Visibility timeout": what a queue has that was made without one.
_VISIBILITY_SECONDS = 30


class QueueRef(NamedTuple):
    """A queue's ARN in parts, and in whose name it is asked."""

    name: str
    principal: Principal

    @staticmethod
    def of(arn: str) -> QueueRef:
        """Return the parts of arn:aws:sqs:REGION:ACCOUNT:NAME."""
        region, account_id, name = [*arn.split(":"), "", "", "", "", "", ""][3:6]
        return QueueRef(name, Principal(account_id, region))


class QueueUrls:
    """Asks once for each queue. Scope: node. Keeps a bounded memory; whoever finds a URL wrong says `forget`.

    A queue is asked for in the name of its own account unless a caller says in whose. All calls raise CallError and
    NeighbourError.
    """

    def __init__(self, client: OutwardClient) -> None:
        self._client = client
        self._known: dict[tuple[str, Principal], str] = {}

    async def find(self, arn: str, principal: Principal | None = None) -> str:
        """Return a queue's URL."""
        queue = QueueRef.of(arn)
        asking = principal or queue.principal
        known = self._known.get((arn, asking))
        if known is None:
            asked = {"QueueName": queue.name, "QueueOwnerAWSAccountId": queue.principal.account_id}
            known = str((await self._client.call("sqs", "GetQueueUrl", asked, asking))["QueueUrl"])
            if len(self._known) >= _QUEUES_MAX:
                self._known.clear()
            self._known[arn, asking] = known
        return known

    def forget(self, arn: str) -> None:
        """The queue may have been made anew, at another URL."""
        for key in [key for key in self._known if key[0] == arn]:
            del self._known[key]

    async def visibility_seconds(self, arn: str) -> int:
        """Return how long the queue hides a message that was received, unless the receiver says otherwise."""
        asked = {"QueueUrl": await self.find(arn), "AttributeNames": ["VisibilityTimeout"]}
        answer = await self._client.call("sqs", "GetQueueAttributes", asked, QueueRef.of(arn).principal)
        return int((answer.get("Attributes") or {}).get("VisibilityTimeout", _VISIBILITY_SECONDS))
