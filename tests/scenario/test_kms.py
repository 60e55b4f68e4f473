"""Environment variables under a KMS key: nothing in clear on disk, opened when an environment starts, AWS's errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.fake_kms import KEY, OTHER_KEY, FakeKms
from tests.running import create_function, invoke

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

SECRET = "a-word-that-stands-nowhere-else"
SHOW = {"index.py": "import os\ndef handler(event, context):\n    return os.environ.get('WORD')\n"}
ARN = "arn:aws:lambda:us-east-1:000000000000:function:"


@pytest.fixture(scope="module")
def kms() -> Iterator[FakeKms]:
    with FakeKms() as served:
        yield served


@pytest.fixture(scope="module")
def server(kms: FakeKms, lambent_server_factory: ServerFactory) -> LambentServer:
    return lambent_server_factory({"neighbours.kms.endpoint": kms.url, "neighbours.enabled": "false"})


@pytest.fixture(autouse=True)
def _all_keys_work(kms: FakeKms) -> None:
    kms.refusals.clear()
    kms.calls.clear()


def keyed(client: Any, name: str, key: str = KEY) -> dict[str, Any]:
    return create_function(client, name, SHOW, KMSKeyArn=key, Environment={"Variables": {"WORD": SECRET}})


def update(client: Any, name: str, **members: Any) -> Any:
    answer = client.update_function_configuration(FunctionName=name, **members)
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    return answer


def test_variables_are_encrypted_at_rest_and_open_in_the_environment(server: LambentServer, kms: FakeKms) -> None:
    client = server.client()
    created = keyed(client, "keyed")
    assert (created["KMSKeyArn"], created["Environment"]["Variables"]) == (KEY, {"WORD": SECRET})
    action, asked = kms.calls[0]
    assert (action, asked["EncryptionContext"]) == ("Encrypt", {"aws:lambda:FunctionArn": f"{ARN}keyed"})
    assert client.get_function_configuration(FunctionName="keyed")["Environment"] == {"Variables": {"WORD": SECRET}}
    [listed] = [one for one in client.list_functions()["Functions"] if one["FunctionName"] == "keyed"]
    assert listed["Environment"] == {"Variables": {"WORD": SECRET}}
    assert invoke(client, "keyed") == SECRET
    found = [
        path
        for path in server.data_dir.rglob("*")
        if path.is_file() and path.stat().st_size < 50_000_000 and SECRET.encode() in path.read_bytes()
    ]
    assert found == []


@pytest.mark.parametrize(
    ("refused", "code", "reason"),
    [
        ("DisabledException", "KMSDisabledException", "the KMS key used is disabled"),
        ("NotFoundException", "KMSNotFoundException", "the KMS key was not found"),
        ("AccessDeniedException", "KMSAccessDeniedException", "KMS access was denied"),
        (
            "KMSInvalidStateException",
            "KMSInvalidStateException",
            "the state of the KMS key used is not valid for Decrypt",
        ),
    ],
)
def test_a_key_that_does_not_open(server: LambentServer, kms: FakeKms, refused: str, code: str, reason: str) -> None:
    client = server.client()
    name = f"closed-{refused}"
    keyed(client, name)
    assert invoke(client, name) == SECRET
    update(client, name, Description="its environments are new")
    kms.refusals[KEY] = (refused, "says KMS.")
    with pytest.raises(ClientError) as error:
        client.invoke(FunctionName=name)
    answer = error.value.response
    assert (answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]) == (code, 502)
    assert answer["Error"]["Message"] == (
        f"Lambda was unable to decrypt the environment variables because {reason}. Please check the function's KMS "
        f"key settings. KMS Exception: {refused}KMS Message: says KMS."
    )
    shown = client.get_function_configuration(FunctionName=name)["Environment"]
    assert "Variables" not in shown
    assert shown["Error"]["ErrorCode"] == refused
    assert reason in shown["Error"]["Message"]
    kms.refusals.clear()
    assert invoke(client, name) == SECRET


def test_keys_change_and_go(server: LambentServer, kms: FakeKms) -> None:
    client = server.client()
    keyed(client, "turning")
    update(client, "turning", KMSKeyArn=OTHER_KEY)
    kms.refusals[KEY] = ("DisabledException", "not needed any more")
    assert invoke(client, "turning") == SECRET
    answer = update(client, "turning", Environment={"Variables": {"WORD": "new"}})
    assert answer["Environment"]["Variables"] == {"WORD": "new"}
    assert invoke(client, "turning") == "new"
    version = client.publish_version(FunctionName="turning")
    assert (version["Version"], version["Environment"]["Variables"]) == ("1", {"WORD": "new"})
    client.get_waiter("published_version_active").wait(FunctionName="turning", Qualifier="1")
    assert invoke(client, "turning:1") == "new"
    update(client, "turning", KMSKeyArn="")
    kms.refusals[OTHER_KEY] = ("DisabledException", "nor this one")
    assert "KMSKeyArn" not in client.get_function_configuration(FunctionName="turning")
    assert invoke(client, "turning") == "new"


def test_versions_are_under_the_key_too(server: LambentServer, kms: FakeKms) -> None:
    client = server.client()
    create_function(client, "versioned", SHOW, KMSKeyArn=KEY, Environment={"Variables": {"WORD": SECRET}}, Publish=True)
    client.get_waiter("published_version_active").wait(FunctionName="versioned", Qualifier="1")
    client.create_alias(FunctionName="versioned", Name="live", FunctionVersion="1")
    update(client, "versioned", Environment={"Variables": {"WORD": "another"}})
    assert [invoke(client, f"versioned:{qualifier}") for qualifier in ("live", "1", "$LATEST")] == [
        SECRET,
        SECRET,
        "another",
    ]
    listed = client.list_versions_by_function(FunctionName="versioned")["Versions"]
    assert [one["Environment"]["Variables"]["WORD"] for one in listed] == ["another", SECRET]
    kms.refusals[KEY] = ("AccessDeniedException", "no")
    listed = client.list_versions_by_function(FunctionName="versioned")["Versions"]
    assert [one["Environment"]["Error"]["ErrorCode"] for one in listed] == ["AccessDeniedException"] * 2
    assert all(SECRET.encode() not in path.read_bytes() for path in server.data_dir.glob("lambent.db*"))


def test_a_key_that_cannot_be_used_is_refused(server: LambentServer, kms: FakeKms) -> None:
    client = server.client()
    missing = KEY.replace("1111", "9999")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="KMS Exception: NotFoundException"):
        keyed(client, "refused", missing)
    keyed(client, "moving")
    kms.refusals[KEY] = ("DisabledException", "it is disabled")
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="KMS Exception: DisabledException"):
        client.update_function_configuration(FunctionName="moving", KMSKeyArn=OTHER_KEY)
    with pytest.raises(client.exceptions.InvalidParameterValueException, match="KMS Exception: DisabledException"):
        client.update_function_configuration(FunctionName="moving", Environment={"Variables": {"WORD": "x"}})


def test_a_key_service_that_is_not_there(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory(
        {"neighbours.kms.endpoint": "http://127.0.0.1:9", "neighbours.enabled": "false", "isolation.level": "L0"}
    )
    client = server.client()
    with pytest.raises(client.exceptions.ServiceException, match=r"neighbours\.kms\.endpoint"):
        keyed(client, "unreachable")
    create_function(client, "plain", SHOW, Environment={"Variables": {"WORD": "needs no key"}})
    assert invoke(client, "plain") == "needs no key"
