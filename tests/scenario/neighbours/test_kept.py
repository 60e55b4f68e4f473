"""A killed child loses no configuration: what was answered is there afterwards, whatever went on at that moment."""

from __future__ import annotations

import signal
import threading
from typing import TYPE_CHECKING, Any

import pytest

from tests.scenario.neighbours.conftest import child_of, patient_client, signal_child
from tests.scenario.neighbours.kinds import KINDS, TRUST, listings

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


class Load(threading.Thread):
    """Sends messages and puts items until told to stop; failures while the child is away are part of it."""

    def __init__(self, server: LambentServer) -> None:
        super().__init__(daemon=True)
        self._sqs, self._dynamodb = server.client("sqs"), server.client("dynamodb")
        self.is_stopping = False
        self.done = 0

    def run(self) -> None:
        url = self._sqs.get_queue_url(QueueName="made")["QueueUrl"]
        while not self.is_stopping:
            try:
                self._sqs.send_message(QueueUrl=url, MessageBody="x" * 1_000)
                self._dynamodb.put_item(TableName="made", Item={"id": {"S": str(self.done)}})
                self.done += 1
            except Exception:
                continue


@pytest.mark.long
def test_every_listing_is_equal_after_a_kill_under_load(neighboured: LambentServer) -> None:
    assert len(KINDS) == 23
    clients: dict[str, Any] = {service: patient_client(neighboured, service) for service, _, _ in KINDS.values()}
    for service, make, _ in KINDS.values():
        make(clients[service])
    clients["cloudformation"].get_waiter("stack_create_complete").wait(
        StackName="made", WaiterConfig={"Delay": 1, "MaxAttempts": 30}
    )
    load = Load(neighboured)
    load.start()
    try:
        for round_number in range(3):
            clients["ssm"].put_parameter(Name=f"/newest/{round_number}", Value="v", Type="String")
            clients["sqs"].create_queue(QueueName=f"newest-{round_number}")
            before = listings(clients)
            clients["iam"].create_role(RoleName=f"newest-{round_number}", AssumeRolePolicyDocument=TRUST)
            signal_child(neighboured, signal.SIGKILL)
            after = listings(clients)
            roles = [one["RoleName"] for one in clients["iam"].list_roles()["Roles"]]
            assert f"newest-{round_number}" in roles
            assert after | {"role": None} == before | {"role": None}
            assert set(before["role"]) < set(after["role"])
            assert all(after.values()), after
    finally:
        load.is_stopping = True
        load.join(60)
    assert load.done > 0
    assert child_of(neighboured)["starts"] == 4


def test_an_orderly_end_keeps_data_too(neighboured: LambentServer) -> None:
    s3, sqs = neighboured.client("s3"), neighboured.client("sqs")
    s3.create_bucket(Bucket="orderly")
    s3.put_object(Bucket="orderly", Key="key", Body=b"content")
    url = sqs.create_queue(QueueName="orderly")["QueueUrl"]
    sqs.send_message(QueueUrl=url, MessageBody="waiting")
    neighboured.stop()
    neighboured.start()
    assert s3.get_object(Bucket="orderly", Key="key")["Body"].read() == b"content"
    url = sqs.get_queue_url(QueueName="orderly")["QueueUrl"]
    assert [one["Body"] for one in sqs.receive_message(QueueUrl=url)["Messages"]] == ["waiting"]


def test_the_child_dies_with_the_daemon(neighboured: LambentServer) -> None:
    neighboured.client("s3").list_buckets()
    neighboured.kill()  # Asserts that no process outlives it.
    neighboured.start()
    assert "orderly" in [one["Name"] for one in neighboured.client("s3").list_buckets()["Buckets"]]
