"""The door of git: paths, who asks, and what is answered to whom."""

from __future__ import annotations

import base64
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import botocore.credentials
import pytest
from botocore.auth import SigV4Auth
from botocore.awsrequest import AWSRequest

from lambent.api.messages import HttpRequest, HttpResponse, Peer
from lambent.api.served.git import GitDoor, GitOptions
from lambent.model.caller import Credentials
from lambent.model.errors import LambdaError

if TYPE_CHECKING:
    from lambent.model.configs.repository import GitRequest

ROOT = "arn:aws:iam::{}:root"
ANN = Credentials("AKIDANN", "secret", "111122223333", principal_arn="arn:aws:iam::111122223333:user/ann")


class Reply:
    """An answer."""

    status = 200
    headers = (("Content-Type", "x"),)
    body = b"pack"


class World:
    """The repositories, and who is known."""

    def __init__(self, *, is_verifying: bool = False) -> None:
        self.calls: list[GitRequest] = []
        self.error: LambdaError | None = None
        self.known = {"app"}
        options = GitOptions(is_verifying, "000000000000", "us-east-1", 300, Path("/spool"), self.find)
        self.door = GitDoor(options, self.serve, self)  # type: ignore[arg-type]

    def time_ms(self) -> int:
        return 0

    def find(self, key: str, _token: str | None) -> Credentials | None:
        if key == "EXPIRED":
            raise LambdaError("over", code="ExpiredTokenException")
        return ANN if key == ANN.access_key_id else None

    async def serve(self, call: GitRequest) -> Reply | None:
        self.calls.append(call)
        if self.error is not None:
            raise self.error
        return Reply() if call.name in self.known else None

    async def ask(self, target: str, user: str = "", host: str = "localhost:4566", method: str = "GET") -> HttpResponse:
        return await self.door.answer(_request(target, user, host, method))


def _request(target: str, user: str = "", host: str = "localhost:4566", method: str = "GET") -> HttpRequest:
    headers = {"host": host}
    if user:
        headers["authorization"] = f"Basic {base64.b64encode(user.encode()).decode()}"
    return HttpRequest(method, target, headers, Peer("http", "127.0.0.1", 4566))


@pytest.mark.parametrize(
    ("target", "host", "expected"),
    [
        ("/v1/repos/app/info/refs?service=git-upload-pack", "localhost", ("us-east-1", "app", "/info/refs")),
        ("/v1/repos/app.git/git-upload-pack", "localhost", ("us-east-1", "app", "/git-upload-pack")),
        ("/v1/repos/eu-west-1/app/git-receive-pack", "localhost", ("eu-west-1", "app", "/git-receive-pack")),
        ("/v1/repos/app/info/refs", "git-codecommit.ap-south-1.amazonaws.com", ("ap-south-1", "app", "/info/refs")),
    ],
)
async def test_paths_and_hosts_name_repositories(target: str, host: str, expected: tuple[str, ...]) -> None:
    world = World()
    answer = await world.ask(target, host=host)
    assert (answer.status, answer.body) == (200, b"pack")
    [call] = world.calls
    assert (call.region, call.name, call.path) == expected
    assert (call.account_id, call.pusher) == ("000000000000", ROOT.format("000000000000"))


@pytest.mark.parametrize("target", ["/v1/repos/", "/v1/repos/app", "/v1/repos/app/HEAD", "/v1/repos/a/b/c/info/refs"])
async def test_other_paths_are_nothing(target: str) -> None:
    world = World()
    assert (await world.ask(target)).status == 404
    assert world.door.plan(_request(target)).bytes_max == 0
    assert world.calls == []


@pytest.mark.parametrize(
    ("user", "account", "pusher"),
    [
        ("444455556666:x", "444455556666", ROOT.format("444455556666")),
        ("AKIDANN:whatever", ANN.account_id, ANN.principal_arn),
        ("nobody:x", "000000000000", ROOT.format("000000000000")),
        ("EXPIRED:x", "000000000000", ROOT.format("000000000000")),
    ],
)
async def test_who_is_not_verified_names_an_account(user: str, account: str, pusher: str) -> None:
    world = World()
    await world.ask("/v1/repos/app/info/refs", user)
    assert [(call.account_id, call.pusher) for call in world.calls] == [(account, pusher)]


@pytest.mark.parametrize(("user", "status"), [("", 401), ("AKIDANN:wrong", 401), ("x:y", 401), ("AKIDANN:secret", 200)])
async def test_who_is_verified_must_know_the_secret(user: str, status: int) -> None:
    world = World(is_verifying=True)
    answer = await world.ask("/v1/repos/app/info/refs", user)
    assert answer.status == status
    assert ("WWW-Authenticate", 'Basic realm="CodeCommit"') in answer.headers or status == 200
    request = _request("/v1/repos/app/git-receive-pack", user, method="POST")
    assert (world.door.plan(request).bytes_max > 0) == (status == 200)


@pytest.mark.parametrize(
    ("path", "target", "seconds", "status"),
    [
        ("/v1/repos/app", "/v1/repos/app/info/refs", 0, 200),
        ("/v1/repos/app", "/v1/repos/app/info/refs", 299, 200),
        ("/v1/repos/app", "/v1/repos/app/info/refs", 301, 401),
        ("/v1/repos/app", "/v1/repos/other/info/refs", 0, 401),
        ("/v1/repos/eu-west-1/app", "/v1/repos/eu-west-1/app/git-upload-pack", 0, 200),
    ],
)
async def test_the_password_of_codecommits_helper(path: str, target: str, seconds: int, status: int) -> None:
    world = World(is_verifying=True)
    signer = SigV4Auth(botocore.credentials.Credentials("AKIDANN", "secret"), "codecommit", "us-east-1")
    request = AWSRequest(method="GIT", url=f"http://localhost{path}")
    stamp = datetime.fromtimestamp(seconds, UTC).strftime("%Y%m%dT%H%M%S")
    request.context["timestamp"] = stamp
    text = signer.string_to_sign(request, f"GIT\n{path}\n\nhost:localhost\n\nhost\n")
    answer = await world.ask(target, f"AKIDANN:{stamp}Z{signer.signature(text, request)}")
    assert answer.status == status


async def test_a_repository_that_is_not_there_may_be_another_accounts() -> None:
    world = World()
    assert (await world.ask("/v1/repos/other/info/refs")).status == 401
    assert (await world.ask("/v1/repos/other/info/refs", "444455556666:x")).status == 404


async def test_without_git_the_door_says_so() -> None:
    world = World()
    world.error = LambdaError("no git", code="NotImplementedException")
    answer: Any = await world.ask("/v1/repos/app/info/refs")
    assert (answer.status, answer.body) == (501, b"no git\n")
