"""CodeCommit: pushes with git call functions."""

from __future__ import annotations

import json
import shutil
import stat
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import LambentServer, clean_environment
from tests.scenario.triggers.conftest import (
    ACCOUNT,
    REGION,
    calls,
    events_of,
    function_arn,
    permit,
    printing,
    wait_until,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.conftest import ServerFactory

pytestmark = [
    pytest.mark.slow, pytest.mark.skipif(shutil.which("git") is None, reason="no git on this machine")
]  # fmt: skip


class Work:
    """A person's clone, and git there."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.home = directory.parent / "home"
        self.home.mkdir(exist_ok=True)
        # The daemon's account may be another one than the person's.
        (self.home / ".gitconfig").write_text(
            "[safe]\n\tdirectory = *\n[user]\n\tname = Ann\n\temail = ann@x.example\n"
        )

    def git(self, *words: str, code: int = 0, place: Path | None = None) -> str:
        environment = {**clean_environment(), "HOME": str(self.home), "GIT_TERMINAL_PROMPT": "0"}
        done = subprocess.run(
            ["git", *words], cwd=place or self.directory, env=environment, capture_output=True, text=True, timeout=120
        )
        assert done.returncode == code, done.stderr
        return done.stdout.strip()

    def clone(self, url: str) -> Work:
        self.git("clone", "-q", url, str(self.directory), place=self.directory.parent)
        return self

    def commit(self, text: str = "text") -> str:
        (self.directory / "file.txt").write_text(text)
        self.git("add", "file.txt")
        self.git("commit", "-q", "-m", f"says {text}")
        return self.git("rev-parse", "HEAD")


def _repository(server: LambentServer, name: str, **trigger: Any) -> dict[str, Any]:
    """Make a repository whose trigger is a function of its name, which may be called."""
    made: dict[str, Any] = server.client("codecommit").create_repository(repositoryName=name)["repositoryMetadata"]
    printing(server, name)
    permit(server, name, "codecommit.amazonaws.com", made["Arn"])
    _put(server, name, **trigger)
    return made


def _put(server: LambentServer, name: str, **trigger: Any) -> str:
    said = {"name": "tell", "destinationArn": function_arn(name), "events": ["all"], "branches": [], **trigger}
    answer = server.client("codecommit").put_repository_triggers(repositoryName=name, triggers=[said])
    configuration: str = answer["configurationId"]
    return configuration


def _references(events: list[Any]) -> list[dict[str, Any]]:
    return [one for event in events for one in event["Records"][0]["codecommit"]["references"]]


def test_a_push_calls_the_function_with_the_documented_event(triggered: LambentServer, tmp_path: Path) -> None:
    made = _repository(triggered, "app", customData="this is custom data")
    assert made["cloneUrlHttp"] == f"{triggered.url}/v1/repos/app"
    client = triggered.client("codecommit")
    assert "defaultBranch" not in client.get_repository(repositoryName="app")["repositoryMetadata"]
    work = Work(tmp_path / "work").clone(made["cloneUrlHttp"])
    first = work.commit()
    work.git("push", "-q", "origin", "HEAD:refs/heads/main")
    [event] = events_of(triggered, "app")
    [record] = event["Records"]
    configuration = client.get_repository_triggers(repositoryName="app")["configurationId"]
    assert record.pop("eventId")
    assert record.pop("eventTime").endswith("+0000")
    assert record == {
        "awsRegion": REGION,
        "codecommit": {"references": [{"commit": first, "ref": "refs/heads/main", "created": True}]},
        "customData": "this is custom data",
        "eventName": "ReferenceChanges",
        "eventPartNumber": 1,
        "eventSource": "aws:codecommit",
        "eventSourceARN": f"arn:aws:codecommit:{REGION}:{ACCOUNT}:app",
        "eventTotalParts": 1,
        "eventTriggerConfigId": configuration,
        "eventTriggerName": "tell",
        "eventVersion": "1.0",
        "userIdentityARN": f"arn:aws:iam::{ACCOUNT}:root",
    }
    assert client.get_repository(repositoryName="app")["repositoryMetadata"]["defaultBranch"] == "main"
    second = work.commit("more")
    work.git("tag", "v1")
    work.git("push", "-q", "origin", "HEAD:main", "v1")
    assert _references(events_of(triggered, "app", 2)[1:]) == [
        {"commit": second, "ref": "refs/heads/main"},
        {"commit": second, "ref": "refs/tags/v1", "created": True},
    ]
    work.git("push", "-q", "origin", "--delete", "v1")
    assert _references(events_of(triggered, "app", 3)[2:]) == [
        {"commit": second, "ref": "refs/tags/v1", "deleted": True}
    ]
    # What was pushed can be cloned, in both protocols of git.
    for version in ("0", "2"):
        other = Work(tmp_path / f"other-{version}")
        other.git("-c", f"protocol.version={version}", "clone", "-q", made["cloneUrlHttp"], str(other.directory),
                  place=tmp_path)  # fmt: skip
        assert other.git("rev-parse", "HEAD") == second


def test_only_some_branches_and_events(triggered: LambentServer, tmp_path: Path) -> None:
    made = _repository(triggered, "some", branches=["main", "release/1"], events=["createReference", "deleteReference"])
    work = Work(tmp_path / "work").clone(made["cloneUrlHttp"])
    first = work.commit()
    work.git("push", "-q", "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/other")
    work.commit("more")
    work.git("push", "-q", "origin", "HEAD:main")
    work.git("push", "-q", "origin", "HEAD~:refs/heads/release/1")
    work.git("push", "-q", "origin", "--delete", "release/1", "other")
    expected = [
        {"commit": first, "ref": "refs/heads/main", "created": True},
        {"commit": first, "ref": "refs/heads/release/1", "created": True},
        {"commit": first, "ref": "refs/heads/release/1", "deleted": True},
    ]
    assert sorted(map(str, _references(events_of(triggered, "some", 3)))) == sorted(map(str, expected))


def test_without_a_permission_nothing_is_called_and_the_refusal_is_told(
    triggered: LambentServer, tmp_path: Path
) -> None:
    client = triggered.client("codecommit")
    made = client.create_repository(repositoryName="closed")["repositoryMetadata"]
    printing(triggered, "closed")
    permit(triggered, "closed", "codecommit.amazonaws.com", f"{made['Arn']}-other")
    _put(triggered, "closed")
    work = Work(tmp_path / "work").clone(made["cloneUrlHttp"])
    work.commit()
    work.git("push", "-q", "origin", "HEAD:refs/heads/main")
    [refusal] = [
        one
        for one in json.loads(triggered.get("/_lambent/v1/triggers/refusals")[1])["refusals"]
        if one["source_arn"] == made["Arn"]
    ]
    assert refusal["principal"] == "codecommit.amazonaws.com"
    trigger = client.get_repository_triggers(repositoryName="closed")["triggers"]
    answer = client.test_repository_triggers(repositoryName="closed", triggers=trigger)
    assert answer["successfulExecutions"] == []
    assert [one["trigger"] for one in answer["failedExecutions"]] == ["tell"]
    triggered.client().remove_permission(FunctionName="closed", StatementId="codecommit")
    permit(triggered, "closed", "codecommit.amazonaws.com", made["Arn"])
    answer = client.test_repository_triggers(repositoryName="closed", triggers=trigger)
    assert answer["successfulExecutions"] == ["tell"]
    # The push is not told later: the test's event is the only one.
    [event] = events_of(triggered, "closed")
    assert event["Records"][0]["eventName"] == "TriggerEventTest"


def test_a_topic_is_told(triggered: LambentServer, tmp_path: Path) -> None:
    sns, sqs = triggered.client("sns"), triggered.client("sqs")
    topic = sns.create_topic(Name="pushes")["TopicArn"]
    queue = sqs.create_queue(QueueName="pushes")["QueueUrl"]
    sns.subscribe(TopicArn=topic, Protocol="sqs", Endpoint=f"arn:aws:sqs:{REGION}:{ACCOUNT}:pushes")
    made = _repository(triggered, "topical", destinationArn=topic)
    work = Work(tmp_path / "work").clone(made["cloneUrlHttp"])
    commit = work.commit()
    work.git("push", "-q", "origin", "HEAD:refs/heads/main")
    [message] = sqs.receive_message(QueueUrl=queue, WaitTimeSeconds=20)["Messages"]
    event = json.loads(json.loads(message["Body"])["Message"])
    assert _references([event]) == [{"commit": commit, "ref": "refs/heads/main", "created": True}]


def test_branches_commits_and_files_by_the_api(triggered: LambentServer, tmp_path: Path) -> None:
    made = _repository(triggered, "api")
    client = triggered.client("codecommit")
    work = Work(tmp_path / "work").clone(made["cloneUrlHttp"])
    first, second = work.commit("one"), work.commit("two")
    work.git("push", "-q", "origin", "HEAD:refs/heads/main")
    commit = client.get_commit(repositoryName="api", commitId=second)["commit"]
    assert (commit["parents"], commit["message"], commit["author"]["name"]) == ([first], "says two\n", "Ann")
    [difference] = client.get_differences(
        repositoryName="api", beforeCommitSpecifier=first, afterCommitSpecifier="main"
    )["differences"]
    assert (difference["changeType"], difference["afterBlob"]["path"]) == ("M", "file.txt")
    blob = client.get_blob(repositoryName="api", blobId=difference["beforeBlob"]["blobId"])
    assert blob["content"] == b"one"
    file = client.get_file(repositoryName="api", filePath="file.txt")
    assert (file["fileContent"], file["commitId"], file["fileMode"]) == (b"two", second, "NORMAL")
    client.create_branch(repositoryName="api", branchName="old/1", commitId=first)
    assert client.list_branches(repositoryName="api")["branches"] == ["main", "old/1"]
    assert client.get_branch(repositoryName="api", branchName="old/1")["branch"]["commitId"] == first
    assert client.delete_branch(repositoryName="api", branchName="old/1")["deletedBranch"]["commitId"] == first
    # Events that follow each other closely may change places, as on AWS.
    told = {str(one) for one in _references(events_of(triggered, "api", 3))}
    assert told >= {
        str({"commit": first, "ref": "refs/heads/old/1", "created": True}),
        str({"commit": first, "ref": "refs/heads/old/1", "deleted": True}),
    }
    cases: tuple[tuple[str, Callable[[], object]], ...] = (
        ("DefaultBranchCannotBeDeletedException",
         lambda: client.delete_branch(repositoryName="api", branchName="main")),
        ("BranchDoesNotExistException", lambda: client.get_branch(repositoryName="api", branchName="none")),
        ("BranchNameExistsException",
         lambda: client.create_branch(repositoryName="api", branchName="main", commitId=first)),
        ("CommitIdDoesNotExistException", lambda: client.get_commit(repositoryName="api", commitId="1" * 40)),
        ("FileDoesNotExistException", lambda: client.get_file(repositoryName="api", filePath="none")),
        ("CommitDoesNotExistException",
         lambda: client.get_differences(repositoryName="api", afterCommitSpecifier="--output=/tmp/x")),
        ("BlobIdDoesNotExistException", lambda: client.get_blob(repositoryName="api", blobId="1" * 40)),
    )  # fmt: skip
    for error, request in cases:
        with pytest.raises(getattr(client.exceptions, error)):
            request()


def test_repositories_by_the_api(triggered: LambentServer, tmp_path: Path) -> None:
    client = triggered.client("codecommit", region="eu-west-1")
    for name in ("b", "a", "c"):
        client.create_repository(repositoryName=name, repositoryDescription=f"is {name}", tags={"of": name})
    with pytest.raises(client.exceptions.RepositoryNameExistsException):
        client.create_repository(repositoryName="a")
    with pytest.raises(client.exceptions.RepositoryDoesNotExistException):
        client.get_repository(repositoryName="none")
    names = [one["repositoryName"] for one in client.list_repositories(order="descending")["repositories"]]
    assert names == ["c", "b", "a"]
    client.update_repository_description(repositoryName="a", repositoryDescription="other")
    client.update_repository_name(oldName="a", newName="d")
    found = client.batch_get_repositories(repositoryNames=["d", "a"])
    [metadata] = found["repositories"]
    assert (metadata["repositoryDescription"], found["repositoriesNotFound"]) == ("other", ["a"])
    arn = metadata["Arn"]
    client.tag_resource(resourceArn=arn, tags={"more": "1"})
    client.untag_resource(resourceArn=arn, tagKeys=["of"])
    assert client.list_tags_for_resource(resourceArn=arn)["tags"] == {"more": "1"}
    # The path of another region's repository names it.
    assert metadata["cloneUrlHttp"] == f"{triggered.url}/v1/repos/eu-west-1/d"
    work = Work(tmp_path / "work").clone(metadata["cloneUrlHttp"])
    work.commit()
    work.git("push", "-q", "origin", "HEAD:refs/heads/trunk")
    assert client.get_repository(repositoryName="d")["repositoryMetadata"]["defaultBranch"] == "trunk"
    work.git("push", "-q", "origin", "HEAD:refs/heads/two")
    client.update_default_branch(repositoryName="d", defaultBranchName="two")
    assert work.git("ls-remote", "--symref", "origin", "HEAD").startswith("ref: refs/heads/two")
    assert client.delete_repository(repositoryName="d")["repositoryId"] == metadata["repositoryId"]
    assert "repositoryId" not in client.delete_repository(repositoryName="d")
    work.git("fetch", "-q", code=128)


def _lambent(server: LambentServer, *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [Path(sys.executable).parent / "lambent", "codecommit", *words, "--endpoint-url", server.url],
        env=clean_environment(), stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def test_the_command_and_a_push_over_the_file_path(triggered: LambentServer, tmp_path: Path) -> None:
    made = _lambent(triggered, "create", "typed", "--description", "by hand")
    assert made.returncode == 0, made.stderr
    place = json.loads(made.stdout)
    printing(triggered, "typed-1")
    words = ("trigger", "typed", "--function", "typed-1", "--branch", "main", "--on", "createReference", "--data", "x")
    for _ in range(2):
        done = _lambent(triggered, *words)
        assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("typed-1  createReference of main  arn:aws:lambda:")
    work = Work(tmp_path / "work").clone(place["Directory"])
    commit = work.commit()
    work.git("push", "-q", "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/other")
    [event] = events_of(triggered, "typed-1")
    assert _references([event]) == [{"commit": commit, "ref": "refs/heads/main", "created": True}]
    # Afterwards both ways lead on: what one account wrote, the other may add to.
    url = Work(tmp_path / "by-url").clone(place["CloneUrlHttp"])
    url.git("checkout", "-q", "main")
    url.commit("two")
    url.git("push", "-q", "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/deep/er")
    work.git("pull", "-q", "origin", "main")
    work.commit("three")
    work.git("push", "-q", "origin", "HEAD:refs/heads/main", "HEAD:refs/heads/deep/est")
    assert _lambent(triggered, "trigger", "typed", "--test").returncode == 0
    assert events_of(triggered, "typed-1", 2)[-1]["Records"][0]["eventName"] == "TriggerEventTest"
    listed = json.loads(_lambent(triggered, "list", "--json").stdout)
    [typed] = [one for one in listed if one["repositoryName"] == "typed"]
    assert typed["triggers"][0]["customData"] == "x"
    assert "typed-1  createReference of main" in _lambent(triggered, "list").stdout
    assert _lambent(triggered, "trigger", "typed", "--remove", "typed-1").stdout == ""
    assert _lambent(triggered, "trigger", "typed", "--remove", "typed-1").returncode == 1
    assert _lambent(triggered, "delete", "typed").returncode == 0
    assert not Path(place["Directory"]).exists()
    assert _lambent(triggered, "delete", "typed").returncode == 1


def test_what_is_pushed_while_nobody_listens_is_told_afterwards(
    lambent_server_factory: ServerFactory, tmp_path: Path
) -> None:
    server = lambent_server_factory({"isolation.level": "L0"})
    _repository(server, "later")
    directory = json.loads(_lambent(server, "list", "--json").stdout)[0]["lambentDirectory"]
    work = Work(tmp_path / "work").clone(directory)
    server.kill()
    commit = work.commit()
    work.git("push", "-q", "origin", "HEAD:refs/heads/main")
    server.start()
    [event] = events_of(server, "later")
    assert _references([event]) == [{"commit": commit, "ref": "refs/heads/main", "created": True}]
    pending = Path(directory) / "lambent" / "pending"
    wait_until(lambda: not list(pending.iterdir()), "nothing waits any more")
    assert len(calls(server, "later")) == 1


def test_git_signs_in(lambent_server_factory: ServerFactory, tmp_path: Path) -> None:
    server = lambent_server_factory({"isolation.level": "L0", "auth.mode": "verify"})
    made = subprocess.run(
        [Path(sys.executable).parent / "lambent", "keys", "create", "--data-dir", str(server.data_dir), "--account",
         "111122223333"], env=clean_environment(), capture_output=True, text=True, check=True,
    )  # fmt: skip
    keys = json.loads(made.stdout)
    key, secret = keys["AccessKeyId"], keys["SecretAccessKey"]
    client = server.client("codecommit", access_key=key, secret_key=secret)
    url = client.create_repository(repositoryName="own")["repositoryMetadata"]["cloneUrlHttp"]
    work = Work(tmp_path / "work")
    work.git("clone", "-q", url, str(work.directory), place=tmp_path, code=128)
    for password, code in (("wrong", 128), (secret, 0)):
        helper = tmp_path / "helper"
        helper.write_text(f"#!/bin/sh\necho username={key}\necho password={password}\n")
        helper.chmod(stat.S_IRWXU)
        with_helper = ("-c", f"credential.helper={helper}")
        work.git(*with_helper, "clone", "-q", url, str(work.directory), place=tmp_path, code=code)
    work.commit()
    work.git("push", "-q", "origin", "HEAD:refs/heads/main", code=128)
    work.git(*with_helper, "push", "-q", "origin", "HEAD:refs/heads/main")
    branch = client.get_branch(repositoryName="own", branchName="main")["branch"]
    assert branch["commitId"] == work.git("rev-parse", "HEAD")


def test_a_directory_that_cannot_be_is_no_end_of_the_server(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory({"isolation.level": "L0", "codecommit.directory": "/proc/repositories"})
    client = server.client("codecommit")
    assert client.list_repositories()["repositories"] == []
    with pytest.raises(client.exceptions.ClientError) as caught:
        client.create_repository(repositoryName="nowhere")
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 500
    assert client.list_repositories()["repositories"] == []
    assert server.get("/_lambent/health")[0] == 200
