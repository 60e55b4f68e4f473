"""The command `lambent` as a person types it, against a real server."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import botocore.exceptions
import pytest

from tests.certificates import self_signed
from tests.running import LambentServer, clean_environment, create_function, invoke

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.conftest import ServerFactory

_LAMBENT = Path(sys.executable).parent / "lambent"
_ECHO = {"index.py": "def handler(event, context):\n    print('said', event)\n    return event\n"}


def _lambent(*arguments: str, variables: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    environment = {**clean_environment(), **(variables or {})}
    return subprocess.run(
        [_LAMBENT, *arguments], env=environment, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60
    )


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server that verifies signatures."""
    return lambent_server_factory({"auth.mode": "verify"})


@pytest.fixture(scope="module")
def keys(server: LambentServer) -> dict[str, str]:
    """An access key made while the server runs."""
    made = _lambent("keys", "create", "--data-dir", str(server.data_dir), "--account", "111122223333")
    assert made.returncode == 0, made.stderr
    return dict(json.loads(made.stdout))


@pytest.fixture(scope="module")
def client(server: LambentServer, keys: dict[str, str]) -> Any:
    """A client that signs with it."""
    return server.client(access_key=keys["AccessKeyId"], secret_key=keys["SecretAccessKey"])


def test_version() -> None:
    said = _lambent("--version")
    assert (said.returncode, said.stdout) == (0, "lambent 0.1.0\n")


def test_no_command_is_a_usage_error() -> None:
    said = _lambent()
    assert said.returncode == 2
    assert "usage: lambent" in said.stderr


@pytest.mark.parametrize(
    ("arguments", "variables", "sentence"),
    [
        (["--set", "server.prot=1"], {}, "There is no setting server.prot; did you mean server.port?"),
        (["--set", "server.port"], {}, "--set takes name=value, not 'server.port'."),
        ([], {"LAMBENT_AUTH_MOD": "x"}, "did you mean LAMBENT_AUTH_MODE?"),
        (
            ["--config", "/nowhere.toml"],
            {},
            "The settings file /nowhere.toml cannot be read: No such file or directory.",
        ),
        (["--port", "http"], {}, "Setting server.port"),
    ],
)
def test_a_wrong_setting_stops_the_start(arguments: list[str], variables: dict[str, str], sentence: str) -> None:
    said = _lambent("serve", *arguments, variables=variables)
    assert said.returncode == 2
    assert said.stderr.startswith("lambent: ")
    assert sentence in said.stderr
    assert said.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "lacking"),
    [
        ([], "auth.mode=verify"),
        (["--set", "auth.mode=verify"], "--tls-cert"),
        (["--set", "auth.mode=verify", "--set", "isolation.level=L0"], "isolation.level"),
    ],
)
def test_listening_beyond_this_machine_is_refused(arguments: list[str], lacking: str, tmp_path: Path) -> None:
    said = _lambent("serve", "--host", "0.0.0.0", "--data-dir", str(tmp_path / "data"), *arguments)
    assert said.returncode == 1
    assert lacking in said.stderr
    assert not (tmp_path / "data").exists()


def test_one_daemon_for_each_data_directory(server: LambentServer) -> None:
    said = _lambent("serve", "--data-dir", str(server.data_dir), "--port", "0")
    assert said.returncode == 1
    assert "is in use by another lambent" in said.stderr
    assert "Traceback" not in said.stderr
    assert server.get("/_lambent/health")[0] == 200


def test_a_port_in_use_is_said(server: LambentServer, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    said = _lambent("serve", "--data-dir", str(tmp_path / "data"), "--port", str(server.port))
    assert said.returncode == 1
    assert f"127.0.0.1:{server.port}" in said.stderr
    assert "Traceback" not in said.stderr


def test_the_banner(server: LambentServer) -> None:
    text = server.output()
    for part in (f"url        {server.url}", "auth       verify", str(server.data_dir), "isolation  L", "runtimes   "):
        assert part in text


def test_keys_are_valid_at_once_and_until_revoked(server: LambentServer, client: Any) -> None:
    data_dir = str(server.data_dir)
    assert client.list_functions()["Functions"] == []
    short = json.loads(_lambent("keys", "create", "--data-dir", data_dir).stdout)
    assert short["AccountId"] == "000000000000"
    listed = json.loads(_lambent("keys", "list", "--data-dir", data_dir).stdout)
    assert short["AccessKeyId"] in [entry["AccessKeyId"] for entry in listed]
    assert "Secret" not in json.dumps(listed)
    other = server.client(access_key=short["AccessKeyId"], secret_key=short["SecretAccessKey"])
    assert other.list_functions()["Functions"] == []
    assert _lambent("keys", "revoke", "--data-dir", data_dir, short["AccessKeyId"]).returncode == 0
    again = _lambent("keys", "revoke", "--data-dir", data_dir, short["AccessKeyId"])
    assert again.returncode == 1
    assert "there is no access key" in again.stderr
    wait_until_refused(other)


def wait_until_refused(client: Any) -> None:
    """Call until the answer is 403: a revoked key is refused within a second."""
    for _ in range(1_000):
        try:
            client.list_functions()
        except botocore.exceptions.ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 403:
                return
            raise
    pytest.fail("a revoked key still works")


def test_wrong_keys_are_refused(server: LambentServer, keys: dict[str, str]) -> None:
    forged = server.client(access_key=keys["AccessKeyId"], secret_key="wrong")
    with pytest.raises(botocore.exceptions.ClientError) as caught:
        forged.list_functions()
    assert caught.value.response["ResponseMetadata"]["HTTPStatusCode"] == 403


def test_an_account_needs_twelve_digits(server: LambentServer) -> None:
    said = _lambent("keys", "create", "--data-dir", str(server.data_dir), "--account", "12")
    assert said.returncode == 1
    assert "12 digits" in said.stderr


@pytest.fixture
def client_variables(server: LambentServer, keys: dict[str, str]) -> dict[str, str]:
    """What `lambent logs` reads."""
    return {
        "AWS_ENDPOINT_URL": server.url,
        "AWS_ACCESS_KEY_ID": keys["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": keys["SecretAccessKey"],
    }


@pytest.fixture
def following(client_variables: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    """A running `lambent logs spoken --follow`."""
    process = subprocess.Popen(
        [_LAMBENT, "logs", "spoken", "--follow"],
        env={**clean_environment(), **client_variables},
        stdout=subprocess.PIPE,
        text=True,
    )
    yield process
    # Not SIGINT, which a shell's background jobs ignore, and with them what they start.
    process.terminate()
    process.communicate(timeout=30)


def test_logs_are_shown_and_followed(
    client: Any, client_variables: dict[str, str], following: subprocess.Popen[str]
) -> None:
    create_function(client, "spoken", _ECHO, Role="arn:aws:iam::111122223333:role/test")
    invoke(client, "spoken", "one")
    lines: list[str] = []
    assert following.stdout is not None
    while not any("REPORT" in line for line in lines):
        lines.append(following.stdout.readline())
    invoke(client, "spoken", "two")
    while not any("said two" in line for line in lines):
        lines.append(following.stdout.readline())
    said = _lambent("logs", "spoken", variables=client_variables)
    assert said.returncode == 0
    for part in ("INIT_START", "START RequestId", "said one", "said two", "END RequestId", "REPORT RequestId"):
        assert part in said.stdout
    none = _lambent("logs", "spoken", "--since", "2099-01-01", variables=client_variables)
    assert (none.returncode, none.stdout) == (0, "")


def test_logs_of_another_account_are_not_shown(server: LambentServer, client_variables: dict[str, str]) -> None:
    other = json.loads(_lambent("keys", "create", "--data-dir", str(server.data_dir)).stdout)
    variables = {
        **client_variables,
        "AWS_ACCESS_KEY_ID": other["AccessKeyId"],
        "AWS_SECRET_ACCESS_KEY": other["SecretAccessKey"],
    }
    said = _lambent("logs", "spoken", variables=variables)
    assert (said.returncode, said.stdout) == (0, "")


def test_logs_says_why_it_cannot(server: LambentServer) -> None:
    refused = _lambent("logs", "x", variables={"AWS_ENDPOINT_URL": server.url})
    assert refused.returncode == 1
    assert "the server answered 403" in refused.stderr
    nobody = _lambent("logs", "x", "--endpoint-url", "http://127.0.0.1:1")
    assert nobody.returncode == 1
    assert "no answer from http://127.0.0.1:1" in nobody.stderr


def test_logs_and_functions_survive_kill_and_restart(
    lambent_server_factory: ServerFactory,
) -> None:
    server = lambent_server_factory()
    create_function(server.client(), "kept", _ECHO)
    invoke(server.client(), "kept", "before")
    server.kill()
    server.start()
    assert invoke(server.client(), "kept", "after") == "after"
    said = _lambent("logs", "kept", "--endpoint-url", server.url)
    assert "said after" in said.stdout
    server.stop()


@pytest.mark.skipif(os.geteuid() != 0, reason="levels L2 and L3 need root")
def test_doctor_as_root() -> None:
    found = json.loads(_lambent("doctor", "--json").stdout)
    assert found["isolation"]["level"] == "L2"
    assert found["limits"]["concurrent_executions"] == 1000


def test_doctor_names_what_is_found_and_missing() -> None:
    said = _lambent("doctor", "--set", "isolation.level=L0")
    assert said.returncode == 0
    assert said.stdout.startswith("isolation  L0: none")
    assert "provided.al2023" in said.stdout
    found = json.loads(_lambent("doctor", "--json", "--set", "isolation.level=L0").stdout)
    by_name = {one["identifier"]: one for one in found["runtimes"]}
    own = by_name[f"python{sys.version_info.major}.{sys.version_info.minor}"]
    assert own["interpreter"]
    # What is missing says what to install; a machine may have all of it.
    assert all(one["missing"] for one in found["runtimes"] if not one["interpreter"] and one["identifier"][0] in "dj")


def test_isolation_below_the_minimum_is_refused(tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    arguments = ["--set", "isolation.level=L0", "--set", "isolation.min=L1"]
    said = _lambent("serve", "--data-dir", str(tmp_path / "data"), "--port", "0", *arguments)
    assert said.returncode == 1
    assert "isolation.min asks for L1" in said.stderr
    assert "Traceback" not in said.stderr


def test_tls(tmp_path: Path) -> None:
    """As root the key may be root's alone, as on every machine; an open connection does not delay the stop."""
    certificate, key = self_signed(tmp_path)
    key.chmod(0o600)
    server = LambentServer({"server.tls_cert": str(certificate), "server.tls_key": str(key)})
    try:
        server.scheme = "https"
        server.start()
        client = boto3.client(
            "lambda",
            endpoint_url=server.url,
            region_name="us-east-1",
            aws_access_key_id="test",
            aws_secret_access_key="test",
            verify=str(certificate),
        )
        assert client.list_functions()["Functions"] == []
    finally:
        server.close()
