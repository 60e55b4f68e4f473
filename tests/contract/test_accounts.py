"""Nothing leaks between accounts and regions: every operation that reads, asked by the owner and by everybody else."""

from __future__ import annotations

import http.client
import json
import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import pytest
from botocore import xform_name
from botocore.exceptions import ClientError

from lambent.api.operations import OPERATIONS
from tests.contract.samples import SERVICE, SHAPES, sample
from tests.running import create_function, make_zip_bytes
from tests.scenario.holding import wait_until

if TYPE_CHECKING:
    from collections.abc import Mapping

    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

OWNER, OTHER = "111111111111", "222222222222"
REGION, OTHER_REGION = "eu-west-1", "eu-central-1"
NAME = "leak"
ARN = f"arn:aws:lambda:{REGION}:{OWNER}"
FUNCTION = f"{ARN}:function:{NAME}"
QUEUE = f"arn:aws:sqs:{REGION}:{OWNER}:q"
ROLE = f"arn:aws:iam::{OWNER}:role/r"
READING = sorted(name for name in OPERATIONS if name.startswith(("Get", "List")))
WRITING = sorted(set(OPERATIONS) - set(READING))
# What even its owner does not find here: nothing starts an execution.
ABSENT = {"GetDurableExecution", "GetDurableExecutionHistory", "GetDurableExecutionState"}
# What is empty for the owner too: executions, and functions of capacity providers, which cannot be made yet.
EMPTY = {"ListDurableExecutionsByFunction", "ListFunctionVersionsByCapacityProvider"}
# Asked without a name: what comes back must be the asker's own.
OWN = {
    "GetAccountSettings",
    "ListCapacityProviders",
    "ListCodeSigningConfigs",
    "ListEventSourceMappings",
    "ListFunctions",
    "ListLayers",
}


@dataclass(frozen=True)
class Owned:
    """Identifiers that the server gave to what the owner has."""

    mapping_id: str
    signing_arn: str

    @property
    def tagged(self) -> tuple[str, ...]:
        """Everything of the owner's that has tags."""
        mapping = f"{ARN}:event-source-mapping:{self.mapping_id}"
        return FUNCTION, mapping, f"{ARN}:capacity-provider:{NAME}", self.signing_arn

    def request(self, operation: str, *, by_arn: bool) -> Mapping[str, Any]:
        """Return a request for what the owner has, by name or by ARN."""
        function = {"FunctionName": FUNCTION if by_arn else NAME}
        layer = {"LayerName": f"{ARN}:layer:{NAME}" if by_arn else NAME}
        provider = {"CapacityProviderName": f"{ARN}:capacity-provider:{NAME}" if by_arn else NAME}
        execution = {"DurableExecutionArn": f"{FUNCTION}:1/durable-execution/a/b"}
        policy = {"ResourceArn": FUNCTION}
        signing = {"CodeSigningConfigArn": self.signing_arn}
        named: dict[str, Mapping[str, Any]] = {
            "GetAlias": {**function, "Name": "live"},
            "GetCapacityProvider": provider,
            "GetCodeSigningConfig": signing,
            "GetDurableExecution": execution,
            "GetDurableExecutionHistory": execution,
            "GetDurableExecutionState": {**execution, "CheckpointToken": "dG9rZW4="},
            "GetEventSourceMapping": {"UUID": self.mapping_id},
            "GetFunctionScalingConfig": {**function, "Qualifier": "1"},
            "GetLayerVersion": {**layer, "VersionNumber": 1},
            "GetLayerVersionByArn": {"Arn": f"{ARN}:layer:{NAME}:1"},
            "GetLayerVersionPolicy": {**layer, "VersionNumber": 1},
            "GetProvisionedConcurrencyConfig": {**function, "Qualifier": "live"},
            "GetResourcePolicy": policy,
            "ListFunctionsByCodeSigningConfig": signing,
            "ListFunctionVersionsByCapacityProvider": provider,
            "ListLayerVersions": layer,
            "ListTags": {"Resource": FUNCTION},
        }
        return named.get(operation, {} if operation in OWN else function)


def client(server: LambentServer, account_id: str, region: str = REGION) -> Any:
    return server.client(access_key=account_id, region=region)


@pytest.fixture(scope="module")
def server(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server without neighbours: nobody knows the networks that are named here."""
    return lambent_server_factory({"neighbours.enabled": "false", "logs.deliver": "false"})


@pytest.fixture(scope="module")
def owned(server: LambentServer) -> Owned:
    """Let the owner have one of everything."""
    mine = client(server, OWNER)
    create_function(mine, NAME, {"index.py": "def handler(event, context): pass\n"}, Role=ROLE, Tags={"a": "b"})
    mine.publish_version(FunctionName=NAME)
    mine.create_alias(FunctionName=NAME, Name="live", FunctionVersion="1")
    mine.add_permission(
        FunctionName=NAME, StatementId="s", Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
    )
    mine.put_function_event_invoke_config(FunctionName=NAME, MaximumRetryAttempts=1)
    mine.create_function_url_config(FunctionName=NAME, AuthType="NONE")
    mine.put_function_concurrency(FunctionName=NAME, ReservedConcurrentExecutions=1)
    mine.put_function_scaling_config(
        FunctionName=NAME, Qualifier="1", FunctionScalingConfig={"MinExecutionEnvironments": 1}
    )
    mine.put_function_recursion_config(FunctionName=NAME, RecursiveLoop="Allow")
    mine.put_runtime_management_config(FunctionName=NAME, UpdateRuntimeOn="FunctionUpdate")
    live = {"FunctionName": NAME, "Qualifier": "live"}
    mine.put_provisioned_concurrency_config(**live, ProvisionedConcurrentExecutions=1)
    # Until then it may read differently the next time.
    wait_until(lambda: mine.get_provisioned_concurrency_config(**live)["Status"] == "READY")
    mine.publish_layer_version(LayerName=NAME, Content={"ZipFile": make_zip_bytes({"python/m.py": ""})})
    mine.add_layer_version_permission(
        LayerName=NAME, VersionNumber=1, StatementId="s", Action="lambda:GetLayerVersion", Principal="333333333333"
    )
    mine.create_capacity_provider(
        CapacityProviderName=NAME,
        VpcConfig={"SubnetIds": ["subnet-0"], "SecurityGroupIds": []},
        PermissionsConfig={"CapacityProviderOperatorRoleArn": ROLE},
        Tags={"a": "b"},
    )
    signing = mine.create_code_signing_config(
        AllowedPublishers={
            "SigningProfileVersionArns": [f"arn:aws:signer:{REGION}:{OWNER}:/signing-profiles/p/0123456789"]
        },
        Tags={"a": "b"},
    )["CodeSigningConfig"]["CodeSigningConfigArn"]
    mine.put_function_code_signing_config(FunctionName=NAME, CodeSigningConfigArn=signing)
    mapping = mine.create_event_source_mapping(FunctionName=NAME, EventSourceArn=QUEUE, Tags={"a": "b"})
    return Owned(mapping["UUID"], signing)


def asked(server: LambentServer, place: tuple[str, str], operation: str, request: Mapping[str, Any]) -> tuple[int, Any]:
    """Return status and content of the answer, be it an error or not."""
    call = getattr(client(server, *place), xform_name(operation))
    try:
        answer = call(**request)
    except ClientError as error:
        answer = error.response
    return answer.pop("ResponseMetadata")["HTTPStatusCode"], answer


@pytest.mark.parametrize("operation", READING)
def test_the_owner_reads_it(server: LambentServer, owned: Owned, operation: str) -> None:
    for by_arn in (False, True):
        status, answer = asked(server, (OWNER, REGION), operation, owned.request(operation, by_arn=by_arn))
        assert (status == 200) is not (operation in ABSENT), answer
        if operation.startswith("List"):
            lists = [value for value in answer.values() if isinstance(value, list)]
            assert all(lists) is not (operation in EMPTY), answer


@pytest.mark.parametrize("place", [(OTHER, REGION), (OWNER, OTHER_REGION), (OTHER, OTHER_REGION)])
@pytest.mark.parametrize("operation", READING)
def test_nobody_else_reads_it(server: LambentServer, owned: Owned, operation: str, place: tuple[str, str]) -> None:
    for by_arn in (False, True):
        status, answer = asked(server, place, operation, owned.request(operation, by_arn=by_arn))
        if status != 200:
            # Who asks by ARN knows the ARN; that there is something behind it he does not learn.
            assert status in (400, 403, 404), answer
            assert operation not in OWN, answer
            continue
        lists = [value for value in answer.values() if isinstance(value, list)]
        assert lists == [[] for _ in lists], answer
        text = json.dumps(answer, default=str)
        assert all(known not in text for known in (NAME, owned.mapping_id, owned.signing_arn)), answer


@pytest.mark.parametrize("place", [(OTHER, REGION), (OWNER, OTHER_REGION)])
def test_nobody_else_reads_tags(server: LambentServer, owned: Owned, place: tuple[str, str]) -> None:
    for arn in owned.tagged:
        assert asked(server, (OWNER, REGION), "ListTags", {"Resource": arn}) == (200, {"Tags": {"a": "b"}})
        status, answer = asked(server, place, "ListTags", {"Resource": arn})
        assert status in (400, 403, 404), answer
        assert "Tags" not in answer


def local(server: LambentServer, place: tuple[str, str], path: str) -> str:
    """Return the answer of one of our own operations, asked in an account and region."""
    account_id, region = place
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=30)
    scope = f"{account_id}/20260101/{region}/lambent/aws4_request"
    signed = f"AWS4-HMAC-SHA256 Credential={scope}, SignedHeaders=host;x-amz-date, Signature={'0' * 64}"
    connection.request("GET", path, headers={"Authorization": signed, "X-Amz-Date": "20260101T000000Z"})
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    assert answer.status == 200, text
    return text


def test_our_own_operations_leak_nothing_either(server: LambentServer, owned: Owned) -> None:
    mine = client(server, OWNER)
    mine.invoke(FunctionName=NAME, Qualifier="live", Payload="{}")
    logs, metrics = f"/_lambent/v1/logs?function={NAME}", "/_lambent/v1/metrics"
    wait_until(lambda: "REPORT" in local(server, (OWNER, REGION), logs))
    wait_until(lambda: NAME in local(server, (OWNER, REGION), metrics))
    for place in ((OTHER, REGION), (OWNER, OTHER_REGION), (OTHER, OTHER_REGION)):
        assert local(server, place, logs) == ""
        assert json.loads(local(server, place, metrics))["functions"] == {}


def everything(server: LambentServer, owned: Owned) -> dict[str, Any]:
    """Return what its owner reads of all that he has."""
    whole = {}
    for operation in READING:
        answer = asked(server, (OWNER, REGION), operation, owned.request(operation, by_arn=True))
        # The URL of the package is signed anew each time.
        whole[operation] = re.sub(r"\?[^\"']*(Signature|signature)=[^\"']*", "", json.dumps(answer, default=str))
    return whole


def test_nobody_else_changes_it(server: LambentServer, owned: Owned) -> None:
    before = everything(server, owned)
    theirs: dict[str, Any] = {
        **dict.fromkeys(("FunctionName", "Resource", "ResourceArn"), FUNCTION),
        "UUID": owned.mapping_id,
        "CodeSigningConfigArn": owned.signing_arn,
        "CapacityProviderName": f"{ARN}:capacity-provider:{NAME}",
        "LayerName": f"{ARN}:layer:{NAME}",
        "Name": "live",
        "Qualifier": "live",
        "StatementId": "s",
        "VersionNumber": 1,
    }
    for operation in WRITING:
        shape = SHAPES[SERVICE["operations"][operation]["input"]["shape"]]
        request = {member: sample(shape["members"][member]["shape"], 1) for member in shape.get("required", ())}
        request |= {member: value for member, value in theirs.items() if member in shape["members"]}
        for place in ((OTHER, REGION), (OWNER, OTHER_REGION)):
            status, answer = asked(server, place, operation, request)
            is_about_it = {"FunctionName", "Resource", "ResourceArn", "UUID"} & request.keys()
            assert status >= 400 or not is_about_it, (operation, answer)
    assert everything(server, owned) == before
