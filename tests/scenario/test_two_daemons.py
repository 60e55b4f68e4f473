"""Two daemons on one PostgreSQL: what one is told the other does, and what the database's death takes and leaves."""

from __future__ import annotations

import base64
import contextlib
import os
import random
import signal
import subprocess
import threading
import time
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import BotoCoreError, ClientError

from tests.running import LambentServer, create_function, invoke, make_zip_bytes

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.conftest import ServerFactory
    from tests.postgres import Postgres
    from tests.scenario.conftest import PairFactory

pytestmark = [pytest.mark.long, pytest.mark.slow]

ECHO = "def handler(event, context):\n    return event\n"
ROLE = "arn:aws:iam::000000000000:role/r"
# The promise is 1.5 s, and tests/contract/store looks at it; here a package is fetched and started besides.
SEEN_SECONDS = 10


@pytest.fixture
def pair(start_pair: PairFactory, request: pytest.FixtureRequest) -> tuple[LambentServer, LambentServer]:
    """Two daemons with the same key on a database of their own."""
    return start_pair(request.node.name[:60])


def wait_until(condition: Callable[[], bool], seconds: float = SEEN_SECONDS) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "did not happen in time"
        time.sleep(0.02)


def assert_unavailable(client: Any, operation: str, **members: str) -> None:
    """Assert that an operation on kept-0 is refused for now, without waiting for a database that is gone."""
    began = time.monotonic()
    with pytest.raises(client.exceptions.ServiceException) as refused:
        getattr(client, operation)(FunctionName="kept-0", **members)
    assert refused.value.response["ResponseMetadata"]["HTTPStatusCode"] == 503
    assert time.monotonic() - began < 5


def answers(client: Any, name: str, expected: object) -> bool:
    try:
        return bool(invoke(client, name, 1) == expected)
    except client.exceptions.ResourceNotFoundException:
        return False


def test_what_one_is_told_the_other_does(pair: tuple[LambentServer, LambentServer]) -> None:
    one, other = (server.client() for server in pair)
    create_function(one, "shared", {"index.py": ECHO})
    assert other.get_function_configuration(FunctionName="shared")["State"] == "Active"
    # The package comes to the other daemon with its first invocation there.
    assert invoke(other, "shared", {"a": 1}) == {"a": 1}
    url = other.get_function(FunctionName="shared")["Code"]["Location"]
    with urllib.request.urlopen(url) as download:
        assert download.read() == make_zip_bytes({"index.py": ECHO})

    code = make_zip_bytes({"index.py": "def handler(event, context):\n    return 'new'\n"})
    other.update_function_code(FunctionName="shared", ZipFile=code)
    other.get_waiter("function_updated_v2").wait(FunctionName="shared", WaiterConfig={"Delay": 1})
    wait_until(lambda: answers(one, "shared", "new"))
    other.delete_function(FunctionName="shared")
    wait_until(lambda: not answers(one, "shared", "new"))


def test_packages_in_a_directory_that_both_see(
    lambent_server_factory: ServerFactory, postgres: Postgres, directories: list[Path]
) -> None:
    name = "packages-in-a-directory"
    first = LambentServer()
    shared = first.data_dir.with_name(first.data_dir.name + "-packages")
    second = first.data_dir.with_name(first.data_dir.name + "-second")
    directories += [first.data_dir, shared, second]
    for directory in (shared, second):
        directory.mkdir()
    # Daemons take an unprivileged account.
    shared.chmod(0o777)
    second.chmod(0o755)
    settings = {"store.url": postgres.make_database(name), "store.blobs": str(shared), "cluster.slice": "0.5"}
    one = lambent_server_factory(settings, first.data_dir).client()
    subprocess.run(["cp", "-a", str(first.data_dir / "keys"), str(second)], check=True)
    other = lambent_server_factory(settings, second).client()
    code = {"index.py": "def handler(event, context):\n    return 'shared'\n"}
    sha256 = base64.b64decode(create_function(one, "shared", code)["CodeSha256"]).hex()
    assert invoke(other, "shared") == "shared"
    assert [path.name for path in shared.iterdir()] == [sha256]
    assert postgres.query("SELECT count(*) FROM blobs", name).split() == ["0"]
    # Who has it needs the directory no more; who does not is told, and knows it again when it is back.
    create_function(one, "another", {"index.py": "def handler(event, context):\n    return 'another'\n"})
    hidden = [(path, path.with_name(f".{path.name}")) for path in shared.iterdir()]
    for path, away in hidden:
        path.rename(away)
    assert invoke(other, "shared") == "shared"
    with pytest.raises(ClientError, match="is not in the store"):
        other.invoke(FunctionName="another")
    for path, away in hidden:
        away.rename(path)
    assert invoke(other, "another") == "another"


def test_of_two_that_create_or_change_at_once_one_wins(pair: tuple[LambentServer, LambentServer]) -> None:
    clients = [server.client() for server in pair]
    zipped = make_zip_bytes({"index.py": ECHO})
    outcomes: list[str] = []

    def create(client: Any, name: str) -> None:
        try:
            client.create_function(
                FunctionName=name, Runtime="python3.11", Handler="index.handler", Role=ROLE, Code={"ZipFile": zipped}
            )
            outcomes.append("created")
        except client.exceptions.ResourceConflictException:
            outcomes.append("conflict")

    for number in range(5):
        threads = [threading.Thread(target=create, args=(client, f"raced-{number}")) for client in clients]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert sorted(outcomes) == ["conflict"] * 5 + ["created"] * 5


def test_a_killed_database_stops_changes_and_no_invocation(
    pair: tuple[LambentServer, LambentServer], postgres: Postgres
) -> None:
    one, other = (server.client() for server in pair)
    for number in range(5):
        create_function(one, f"kept-{number}", {"index.py": ECHO}, Description=str(number))
    assert invoke(one, "kept-0", 1) == 1
    assert invoke(other, "kept-1", 1) == 1
    postgres.kill()
    try:
        for client, name in ((one, "kept-0"), (one, "kept-2"), (other, "kept-1")):
            assert invoke(client, name, 2) == 2, "the catalog has what an invocation needs"
        for client in (one, other):
            assert_unavailable(client, "update_function_configuration", Description="lost")
            assert_unavailable(client, "delete_function")
            assert_unavailable(client, "get_function")
    finally:
        postgres.start()
    # Neither daemon was started again.
    for client in (one, other):
        listed = client.list_functions()["Functions"]
        assert [(f["FunctionName"], f["Description"]) for f in listed] == [(f"kept-{n}", str(n)) for n in range(5)]
    one.update_function_configuration(FunctionName="kept-0", Description="changed again")
    code = make_zip_bytes({"index.py": "def handler(event, context):\n    return 'new'\n"})
    one.get_waiter("function_updated_v2").wait(FunctionName="kept-0", WaiterConfig={"Delay": 1})
    one.update_function_code(FunctionName="kept-0", ZipFile=code)
    one.get_waiter("function_updated_v2").wait(FunctionName="kept-0", WaiterConfig={"Delay": 1})
    wait_until(lambda: answers(other, "kept-0", "new"))


def test_a_killed_daemon_leaves_the_other_at_work(pair: tuple[LambentServer, LambentServer]) -> None:
    first, second = pair
    create_function(first.client(), "f", {"index.py": ECHO})
    first.kill()
    client = second.client()
    assert invoke(client, "f", 1) == 1
    client.update_function_configuration(FunctionName="f", Description="by the other")
    client.get_waiter("function_updated_v2").wait(FunctionName="f", WaiterConfig={"Delay": 1})
    first.start()
    assert first.client().get_function_configuration(FunctionName="f")["Description"] == "by the other"


def test_another_key_is_refused(lambent_server_factory: ServerFactory, postgres: Postgres) -> None:
    settings = {"store.url": postgres.make_database("another-key")}
    lambent_server_factory(settings)
    with pytest.raises(AssertionError, match="another key: copy the directory keys/"):
        lambent_server_factory(settings)


def test_a_database_that_cannot_be_had_is_told_without_its_password(
    lambent_server_factory: ServerFactory, postgres: Postgres
) -> None:
    for url in (
        f"postgresql://tester:wr0ng-s3cret@127.0.0.1:{postgres.port}/postgres",
        f"postgresql://tester:wr0ng-s3cret@127.0.0.1:{postgres.port}/nowhere",
        "postgresql://tester:wr0ng-s3cret@127.0.0.1:9/nowhere",
        "mysql://tester:wr0ng-s3cret@127.0.0.1:9/nowhere",
        "postgresql://tester:x/wr0ng-s3cret@127.0.0.1:9/nowhere",
        "postgresql://tester:wr0ng-s3cret#x@127.0.0.1:9/nowhere",
    ):
        with pytest.raises(AssertionError, match=r"store\.url") as refused:
            lambent_server_factory({"store.url": url})
        assert "wr0ng-s3cret" not in str(refused.value)
        assert "Traceback" not in str(refused.value)


class Lane:
    """One function, changed by one writer: what was acknowledged last, and what may have happened since."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.acknowledged = "0"
        self.unknown: list[str] = []
        self.changes = 0

    def change(self, client: Any, number: int) -> None:
        try:
            client.update_function_configuration(FunctionName=self.name, Description=str(number))
        except client.exceptions.ResourceConflictException:
            return  # the update before has not settled yet
        except (ClientError, BotoCoreError):
            self.unknown.append(str(number))
        else:
            self.acknowledged, self.unknown = str(number), []
            self.changes += 1


@pytest.mark.long
@pytest.mark.timeout(400)
def test_kills_of_everything_end_as_acknowledged(pair: tuple[LambentServer, LambentServer], postgres: Postgres) -> None:
    chance = random.Random(4)
    lanes = [Lane(f"lane-{number}") for number in range(4)]
    for lane in lanes:
        create_function(pair[0].client(), lane.name, {"index.py": ECHO}, Description="0")
    is_over = threading.Event()

    def write(lane: Lane) -> None:
        clients = [server.client(read_timeout=30) for server in pair]
        number = 0
        while not is_over.is_set():
            number += 1
            lane.change(clients[number % 2], number)

    writers = [threading.Thread(target=write, args=(lane,)) for lane in lanes]
    for writer in writers:
        writer.start()
    try:
        for _ in range(12):
            wanted = sum(lane.changes for lane in lanes) + 20
            wait_until(lambda wanted=wanted: sum(lane.changes for lane in lanes) >= wanted, 60)  # type: ignore[misc]
            victim = chance.choice(["database", "first", "second"])
            if victim == "database":
                postgres.kill()
                time.sleep(chance.random())
                postgres.start()
            else:
                server = pair[victim == "second"]
                server.kill()
                server.start()
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
    for lane in lanes:
        told = []
        for server in pair:
            client = server.client()
            client.get_waiter("function_updated_v2").wait(FunctionName=lane.name, WaiterConfig={"MaxAttempts": 60})
            told.append(client.get_function_configuration(FunctionName=lane.name))
            assert invoke(client, lane.name, lane.name) == lane.name
        assert told[0]["Description"] in (lane.acknowledged, *lane.unknown)
        assert [one["RevisionId"] for one in told] == [told[0]["RevisionId"]] * 2
        assert told[0]["State"] == "Active"


@pytest.mark.long
def test_a_daemon_that_is_frozen_amid_its_work_holds_up_nobody_for_long(
    pair: tuple[LambentServer, LambentServer],
) -> None:
    first, second = pair
    client = second.client(read_timeout=60)
    create_function(client, "f", {"index.py": ECHO}, Description="0")
    is_over = threading.Event()

    def write() -> None:
        own = first.client(read_timeout=60)
        number = 0
        while not is_over.is_set():
            number += 1
            with contextlib.suppress(ClientError, BotoCoreError):
                own.tag_resource(Resource="arn:aws:lambda:us-east-1:000000000000:function:f", Tags={"n": str(number)})

    writers = [threading.Thread(target=write) for _ in range(4)]
    for writer in writers:
        writer.start()
    try:
        for number in range(3):
            time.sleep(0.5)
            os.kill(first.pid, signal.SIGSTOP)
            try:
                wait_until(lambda number=number: changed(client, "f", str(number)), 30)  # type: ignore[misc]
            finally:
                os.kill(first.pid, signal.SIGCONT)
    finally:
        is_over.set()
        for writer in writers:
            writer.join()
    wait_until(lambda: changed(first.client(), "f", "thawed"), 30)


def changed(client: Any, name: str, description: str) -> bool:
    try:
        client.update_function_configuration(FunctionName=name, Description=description)
    except ClientError:
        return False
    return True
