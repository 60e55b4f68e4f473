"""The seven operations on functions, against what AWS answered (recordings named at each test)."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import re
from typing import TYPE_CHECKING, Any

import pytest
from msgspec.structs import replace

from lambent.functions import ControlPlaneRules
from lambent.model.caller import Caller, UploadedBlob
from lambent.model.errors import ResourceConflictError
from tests.unit.functions.conftest import PREFIX, ROLE, zip_bytes, zipped

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene

UUID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-4[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}")


async def test_a_life_as_recorded(scene: Scene) -> None:
    # Source: lambda/test_lambda_api.json, TestLambdaFunction::test_function_lifecycle.
    scene.gate.clear()
    package = zipped()
    created = await scene.create(
        Handler="handler.handler", Timeout=5, MemorySize=256, Environment={"Variables": {}}, Code={"ZipFile": package}
    )
    raw = base64.b64decode(package)
    version_arn = created.pop("RuntimeVersionConfig")["RuntimeVersionArn"]
    assert re.fullmatch(r"arn:aws:lambda:us-east-1::runtime:[0-9a-f]{64}", version_arn)
    assert UUID.fullmatch(created["RevisionId"])
    common = {
        "Architectures": ["x86_64"],
        "CodeSha256": base64.b64encode(hashlib.sha256(raw).digest()).decode(),
        "CodeSize": len(raw),
        "Description": "",
        "Environment": {"Variables": {}},
        "EphemeralStorage": {"Size": 512},
        "FunctionArn": PREFIX + "f",
        "FunctionName": "f",
        "Handler": "handler.handler",
        "LastModified": "2026-01-01T00:00:00.000+0000",
        "LoggingConfig": {"LogFormat": "Text", "LogGroup": "/aws/lambda/f"},
        "MemorySize": 256,
        "PackageType": "Zip",
        "Role": ROLE,
        "Runtime": "python3.12",
        "SnapStart": {"ApplyOn": "None", "OptimizationStatus": "Off"},
        "Timeout": 5,
        "TracingConfig": {"Mode": "PassThrough"},
        "Version": "$LATEST",
    }
    assert created == common | {
        "RevisionId": created["RevisionId"],
        "State": "Pending",
        "StateReason": "The function is being created.",
        "StateReasonCode": "Creating",
    }
    scene.gate.set()
    active = await scene.settled()
    assert active["RevisionId"] != created["RevisionId"]
    assert active == common | {
        "RevisionId": active["RevisionId"],
        "State": "Active",
        "LastUpdateStatus": "Successful",
        "RuntimeVersionConfig": {"RuntimeVersionArn": version_arn},
    }

    scene.gate.clear()
    scene.clock.now_ms += 1_500
    updated = await scene.call(
        "update_function_configuration",
        FunctionName="f",
        Description="Changed-Description",
        Environment={"Variables": {"ENV_A": "a"}},
        MemorySize=512,
        Timeout=10,
        Runtime="python3.11",
    )
    expected = common | {
        "Description": "Changed-Description",
        "Environment": {"Variables": {"ENV_A": "a"}},
        "MemorySize": 512,
        "Timeout": 10,
        "Runtime": "python3.11",
        "LastModified": "2026-01-01T00:00:01.500+0000",
        "State": "Active",
        "LastUpdateStatus": "InProgress",
        "LastUpdateStatusReason": "The function is being created.",
        "LastUpdateStatusReasonCode": "Creating",
        "RevisionId": updated["RevisionId"],
        "RuntimeVersionConfig": updated["RuntimeVersionConfig"],
    }
    assert updated == expected
    assert updated["RuntimeVersionConfig"]["RuntimeVersionArn"] != version_arn
    scene.gate.set()
    settled = await scene.settled()
    assert settled["LastUpdateStatus"] == "Successful"
    assert settled["RevisionId"] != updated["RevisionId"]

    assert await scene.call("delete_function", FunctionName="f") == {"StatusCode": 204}
    gone = ("ResourceNotFoundException", f"Function not found: {PREFIX}f")
    for operation in ("get_function", "get_function_configuration", "delete_function"):
        assert await scene.refused(operation, FunctionName="f") == gone


async def test_an_environment_that_was_not_given_is_not_answered(scene: Scene) -> None:
    # Source: TestLambdaFunction::test_lambda_concurrent_code_updates, create-function-response.
    assert "Environment" not in await scene.create()


async def test_a_redundant_update_is_an_update(scene: Scene) -> None:
    # Source: TestLambdaFunction::test_redundant_updates.
    await scene.create_settled()
    revisions = set()
    for _ in range(2):
        updated = await scene.call("update_function_configuration", FunctionName="f", Description="same")
        assert updated["LastUpdateStatus"] == "InProgress"
        revisions |= {updated["RevisionId"], (await scene.settled())["RevisionId"]}
    assert len(revisions) == 4


async def test_what_is_under_way_refuses_changes(scene: Scene) -> None:
    # Source: TestLambdaFunction::test_lambda_concurrent_code_updates; observed for Pending.
    scene.gate.clear()
    await scene.create()
    code, text = await scene.refused("update_function_configuration", FunctionName="f", Timeout=9)
    assert (code, text) == (
        "ResourceConflictException",
        "The operation cannot be performed at this time. The function is currently in the following state: Pending",
    )
    scene.gate.set()
    await scene.settled()
    scene.gate.clear()
    await scene.call("update_function_code", FunctionName="f", ZipFile=zipped("x"))
    assert await scene.refused("update_function_code", FunctionName="f", ZipFile=zipped("y")) == (
        "ResourceConflictException",
        f"The operation cannot be performed at this time. An update is in progress for resource: {PREFIX}f",
    )
    scene.gate.set()


async def test_of_two_updates_at_once_one_wins(scene: Scene) -> None:
    await scene.create_settled()
    scene.gate.clear()
    outcomes: list[str] = []
    refusals: list[str] = []

    async def update(description: str) -> None:
        try:
            await scene.call("update_function_configuration", FunctionName="f", Description=description)
            outcomes.append(description)
        except ResourceConflictError as error:
            refusals.append(error.message)

    async with asyncio.TaskGroup() as tasks:
        for number in range(5):
            tasks.create_task(update(str(number)))
    scene.gate.set()
    assert [(await scene.settled())["Description"]] == outcomes
    assert len(refusals) == 4
    assert all("An update is in progress for resource" in refusal for refusal in refusals)


async def test_a_function_that_has_all_it_needs_is_committed_once(scene: Scene) -> None:
    scene.is_ready_at_once = True
    scene.gate.clear()
    created = await scene.create(Environment={"Variables": {"A": "b"}})
    assert (created["State"], created["StateReasonCode"]) == ("Pending", "Creating")
    assert "LastUpdateStatus" not in created

    active = await scene.call("get_function_configuration", FunctionName="f")
    assert active["RevisionId"] != created["RevisionId"]
    told = ("State", "StateReason", "StateReasonCode", "RevisionId")
    assert {name: value for name, value in active.items() if name not in told} == {
        name: value for name, value in created.items() if name not in told
    } | {"LastUpdateStatus": "Successful"}
    assert active["State"] == "Active"
    assert "StateReason" not in active
    assert await scene.store.list_unsettled() == []
    taken = await scene.refused_creation()
    assert taken == ("ResourceConflictException", "Function already exist: f")


async def test_what_is_published_with_a_function_is_settled_first(scene: Scene) -> None:
    scene.is_ready_at_once = True
    scene.gate.clear()
    await scene.create(Publish=True)
    for qualifier in ("$LATEST", "1"):
        pending = await scene.call("get_function_configuration", FunctionName="f", Qualifier=qualifier)
        assert pending["State"] == "Pending"
    scene.gate.set()
    await scene.settled()
    assert (await scene.call("get_function_configuration", FunctionName="f", Qualifier="1"))["State"] == "Active"


async def test_revision_ids(scene: Scene) -> None:
    # Source: TestLambdaRevisions::test_function_revisions_version_and_alias.
    active = await scene.create_settled()
    stale = (
        "PreconditionFailedException",
        "The Revision Id provided does not match the latest Revision Id. "
        "Call the GetFunction/GetAlias API to retrieve the latest Revision Id",
    )
    wrong = {"FunctionName": "f", "RevisionId": "b6f0b5b8-8b0b-4b0b-8b0b-8b0b8b0b8b0b"}
    assert await scene.refused("update_function_configuration", **wrong) == stale
    assert await scene.refused("update_function_code", **wrong, ZipFile=zipped("x")) == stale
    right = {"FunctionName": "f", "RevisionId": active["RevisionId"]}
    await scene.call("update_function_code", **right, ZipFile=zipped("x"))


async def test_a_name_is_taken_once(scene: Scene) -> None:
    await scene.create()
    assert await scene.refused_creation() == ("ResourceConflictException", "Function already exist: f")
    west = Caller("000000000000", "us-west-2", "arn", "r", "http://localhost")
    members = {"Runtime": "python3.12", "Handler": "h.h", "Role": ROLE, "Code": {"ZipFile": zipped()}}
    assert (await scene.call("create_function", west, FunctionName="f", **members))["FunctionName"] == "f"


async def test_names_in_every_form(scene: Scene) -> None:
    # Source: TestLambdaFunction::test_function_arns, test_function_name_and_qualifier_validation.
    await scene.create_settled(f"{PREFIX}full")
    await scene.create_settled("000000000000:function:partial")
    for reference in ("full", f"{PREFIX}full", "function:partial", "000000000000:partial"):
        answer = await scene.call("get_function_configuration", FunctionName=reference)
        assert answer["FunctionArn"] == PREFIX + reference.rpartition(":")[2]
    for reference, qualifier in (("full:$LATEST", None), ("full", "$LATEST"), (f"{PREFIX}full:$LATEST", "$LATEST")):
        members = {"FunctionName": reference} | ({"Qualifier": qualifier} if qualifier else {})
        answer = await scene.call("get_function_configuration", **members)
        assert answer["FunctionArn"] == f"{PREFIX}full:$LATEST"
    assert await scene.refused_creation("a" * 65) == (
        "InvalidParameterValueException",
        f"1 validation error detected: Value '{'a' * 65}' at 'functionName' failed to satisfy constraint: "
        "Member must have length less than or equal to 64",
    )
    elsewhere = PREFIX.replace("us-east-1", "ap-southeast-1")
    assert await scene.refused_creation(elsewhere + "f") == (
        "ResourceNotFoundException",
        "Functions from 'ap-southeast-1' are not reachable in this region ('us-east-1')",
    )
    foreign = PREFIX.replace("000000000000", "123456789012")
    assert await scene.refused_creation(foreign + "f") == ("AccessDeniedException", "")
    getting = replace(scene.caller, operation="GetFunction")
    assert await scene.refused("get_function", getting, FunctionName=foreign + "f") == (
        "AccessDeniedException",
        "User: arn:aws:iam::000000000000:root is not authorized to perform: lambda:GetFunction on resource: "
        f"{foreign}f because no resource-based policy allows the lambda:GetFunction action",
    )
    for qualifier in ("1221", "$latest", "alias"):
        assert await scene.refused("get_function", FunctionName="full", Qualifier=qualifier) == (
            "ResourceNotFoundException",
            f"Function not found: {PREFIX}full:{qualifier}",
        )
    assert await scene.refused("get_function", FunctionName="full:$LATEST", Qualifier="1") == (
        "InvalidParameterValueException",
        "The derived qualifier from the function name does not match the specified qualifier.",
    )


async def test_deleting_with_a_qualifier(scene: Scene) -> None:
    await scene.create()
    assert await scene.refused("delete_function", FunctionName="f", Qualifier="$LATEST") == (
        "InvalidParameterValueException",
        "$LATEST version cannot be deleted without deleting the function.",
    )
    assert await scene.call("delete_function", FunctionName="f", Qualifier="7") == {"StatusCode": 204}
    assert await scene.refused("delete_function", FunctionName="g", Qualifier="$latest") == (
        "ResourceNotFoundException",
        f"Function not found: {PREFIX}g",
    )
    await scene.call("get_function", FunctionName="f")


@pytest.mark.parametrize(
    ("members", "code", "text"),
    [
        ({"Runtime": None}, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters"),
        ({"Handler": None}, "InvalidParameterValueException", "Runtime and Handler are mandatory parameters"),
        ({"Runtime": "PYTHON3.9"}, "InvalidParameterValueException", "Value PYTHON3.9 at 'runtime' failed to satisfy"),
        ({"MemorySize": 10_241}, "ValidationException", "Value '10241' at 'memorySize' failed to satisfy constraint"),
        ({"Timeout": 901}, "ValidationException", "Member must have value less than or equal to 900"),
        ({"EphemeralStorage": {"Size": 10_241}}, "ValidationException", "Value '10241' at 'ephemeralStorage.size'"),
        ({"MemorySize": 20_000, "Timeout": 901}, "ValidationException", "2 validation errors detected: Value '20000'"),
        ({"PublishTo": "LATEST_PUBLISHED"}, "InvalidParameterValueException", "PublishTo is only supported"),
        (
            {"FileSystemConfigs": [{"Arn": "arn:aws:elasticfilesystem:x", "LocalMountPath": "/mnt/x"}]},
            "InvalidParameterValueException",
            "Function must be configured to execute in a VPC to reference access point arn:aws:elasticfilesystem:x.",
        ),
        (
            {"DeadLetterConfig": {"TargetArn": "arn:aws:s3:::bucket"}},
            "InvalidParameterValueException",
            "Invalid dead letter queue ARN: arn:aws:s3:::bucket is neither an SQS queue nor an SNS topic.",
        ),
        (
            {"Code": {"S3Bucket": "bucket", "S3Key": "k", "S3ObjectStorageMode": "REFERENCE"}},
            "NotImplementedException",
            "does not support S3ObjectStorageMode yet",
        ),
        ({"RuntimeConfig": {"RuntimeArn": "a", "RuntimeAlias": "b"}}, "NotImplementedException", "RuntimeConfig yet"),
        ({"Code": {}}, "InvalidParameterValueException", "Please provide a source for function code."),
        ({"Code": {"ZipFile": ""}}, "InvalidParameterValueException", "Uploaded file must be a non-empty zip"),
        ({"Code": {"ZipFile": "bm8="}}, "InvalidParameterValueException", "Could not unzip uploaded file."),
        (
            {"Code": {"ZipFile": zipped(), "S3Key": "k"}},
            "InvalidParameterValueException",
            "Please do not provide other FunctionCode parameters",
        ),
        (
            {"Runtime": "nodejs22.x", "SnapStart": {"ApplyOn": "PublishedVersions"}},
            "InvalidParameterValueException",
            "nodejs22.x is not supported for SnapStart enabled functions.",
        ),
        (
            {"LoggingConfig": {"LogFormat": "Text", "SystemLogLevel": "INFO"}},
            "InvalidParameterValueException",
            'LogLevel is not supported when LogFormat is set to "Text".',
        ),
        (
            {"Tags": {str(number): "v" for number in range(51)}},
            "InvalidParameterValueException",
            "Number of tags exceeds resource tag limit.",
        ),
        (
            {"Layers": ["arn:aws:lambda:us-east-1:000000000000:layer:l:1"]},
            "InvalidParameterValueException",
            "Layer version arn:aws:lambda:us-east-1:000000000000:layer:l:1 does not exist.",
        ),
        (
            {"CodeSigningConfigArn": "arn:aws:lambda:us-east-1:000000000000:code-signing-config:csc-x"},
            "CodeSigningConfigNotFoundException",
            "The code signing configuration cannot be found.",
        ),
    ],
)
async def test_what_creation_refuses(scene: Scene, members: dict[str, Any], code: str, text: str) -> None:
    answered = await scene.refused_creation(**members)
    assert answered[0] == code
    assert text in answered[1]
    assert await scene.call("list_functions") == {"Functions": []}
    assert not [path for path in (scene.data_directory / "code").iterdir() if not path.name.startswith(".trash")]


async def test_environment_limits(scene: Scene) -> None:
    # Source: TestLambdaSizeLimits::test_large_environment_variables_fails, test_lambda_envvars_near_limit_succeeds.
    text = (
        "Lambda was unable to configure your environment variables because the environment variables you have provided "
    )
    room = 4096 - len('{"LARGE_VAR":""}')
    fitting = {"Variables": {"LARGE_VAR": "x" * room}}
    assert (await scene.create("fits", Environment=fitting))["Environment"] == fitting
    code, message = await scene.refused_creation(Environment={"Variables": {"LARGE_VAR": "x" * (room + 1)}})
    assert code == "InvalidParameterValueException"
    measured = f'{{"LARGE_VAR":"{"x" * (room + 1)}"}}'
    assert message == f"{text}exceeded the 4KB limit. String measured: {measured}"
    assert await scene.refused_creation(Environment={"Variables": {"AWS_REGION": "x", "OK": "y", "_HANDLER": "z"}}) == (
        "InvalidParameterValueException",
        f"{text}contains reserved keys that are currently not supported for modification. "
        "Reserved keys used in this request: AWS_REGION, _HANDLER",
    )


async def test_uploaded_blobs_are_taken_and_removed(scene: Scene) -> None:
    spooled = scene.data_directory / "blob-1"
    spooled.write_bytes(zip_bytes({"a.py": "x"}))
    blob = UploadedBlob(str(spooled), spooled.stat().st_size, "")
    caller = Caller("000000000000", "us-east-1", "arn", "r", "http://h", {"Code.ZipFile": blob})
    members = {"Runtime": "python3.12", "Handler": "a.b", "Role": ROLE}
    await scene.call("create_function", caller, FunctionName="big", Code={}, **members)
    assert not spooled.exists()

    spooled.write_bytes(b"PK")
    huge = UploadedBlob(str(spooled), 52_428_801, "")
    await scene.settled("big")
    caller = Caller("000000000000", "us-east-1", "arn", "r", "http://h", {"ZipFile": huge})
    # Source: TestLambdaSizeLimits::test_oversized_zipped_create_lambda.
    assert await scene.refused("update_function_code", caller, FunctionName="big") == (
        "RequestEntityTooLargeException",
        "Zipped size must be smaller than 52428800 bytes",
    )
    assert not spooled.exists()


async def test_packages_from_s3(scene: Scene) -> None:
    content = zip_bytes({"index.py": "s3"})
    scene.packages["bucket", "key", "v1"] = content
    code = {"S3Bucket": "bucket", "S3Key": "key", "S3ObjectVersion": "v1"}
    assert (await scene.create(Code=code))["CodeSize"] == len(content)
    assert not (scene.data_directory / "downloaded").exists()


async def test_code_updates_and_dry_runs(scene: Scene) -> None:
    created = await scene.create_settled()
    dry = await scene.call("update_function_code", FunctionName="f", ZipFile=zipped("new"), DryRun=True)
    assert dry["CodeSha256"] != created["CodeSha256"]
    assert (await scene.settled())["CodeSha256"] == created["CodeSha256"]
    updated = await scene.call("update_function_code", FunctionName="f", ZipFile=zipped("new"), Architectures=["arm64"])
    assert (updated["CodeSha256"], updated["Architectures"]) == (dry["CodeSha256"], ["arm64"])
    assert updated["LastUpdateStatus"] == "InProgress"


async def test_logging_configuration(scene: Scene) -> None:
    # Source: TestLoggingConfig::test_function_advanced_logging_configuration, …_format_switch.
    created = await scene.create_settled(LoggingConfig={"LogFormat": "JSON"})
    levels = {"ApplicationLogLevel": "INFO", "SystemLogLevel": "INFO", "LogFormat": "JSON"}
    assert created["LoggingConfig"] == levels | {"LogGroup": "/aws/lambda/f"}

    async def update(**members: str) -> Any:
        answer = await scene.call("update_function_configuration", FunctionName="f", LoggingConfig=members)
        await scene.settled()
        return answer["LoggingConfig"]

    assert await update(LogGroup="cool_lambda") == levels | {"LogGroup": "cool_lambda"}
    changed = levels | {"SystemLogLevel": "WARN", "LogGroup": "cool_lambda"}
    assert await update(SystemLogLevel="WARN") == changed
    assert await update(LogFormat="Text") == {"LogFormat": "Text", "LogGroup": "cool_lambda"}
    assert await update(LogFormat="JSON") == levels | {"LogGroup": "cool_lambda"}


async def test_what_is_echoed_and_emptied(scene: Scene) -> None:
    given: dict[str, Any] = {
        "VpcConfig": {"SubnetIds": ["subnet-1"], "SecurityGroupIds": ["sg-1"], "Ipv6AllowedForDualStack": True},
        "DeadLetterConfig": {"TargetArn": "arn:aws:sqs:us-east-1:000000000000:q"},
        "KMSKeyArn": "arn:aws:kms:us-east-1:000000000000:key/k",
        "TracingConfig": {"Mode": "Active"},
        "FileSystemConfigs": [{"Arn": "arn:aws:elasticfilesystem:x", "LocalMountPath": "/mnt/x"}],
        "SnapStart": {"ApplyOn": "PublishedVersions"},
        "EphemeralStorage": {"Size": 1024},
        "Architectures": ["arm64"],
    }
    created = await scene.create_settled(**given)
    given["VpcConfig"]["VpcId"] = ""
    given["SnapStart"]["OptimizationStatus"] = "Off"
    assert {name: created[name] for name in given} == given
    updated = await scene.call(
        "update_function_configuration",
        FunctionName="f",
        VpcConfig={"SubnetIds": [], "SecurityGroupIds": []},
        DeadLetterConfig={"TargetArn": ""},
        KMSKeyArn="",
        FileSystemConfigs=[],
        Environment={},
    )
    assert not {"DeadLetterConfig", "KMSKeyArn", "FileSystemConfigs"} & updated.keys()
    assert updated["VpcConfig"]["SubnetIds"] == []
    assert updated["Environment"] == {"Variables": {}}


async def test_lists_are_paged_by_name(scene: Scene) -> None:
    # Source: TestLambdaFunction::test_list_functions (no state, no update, no runtime version in a list).
    for name in ("c", "a", "b"):
        await scene.create_settled(name)
    page = await scene.call("list_functions", MaxItems=2)
    assert [f["FunctionName"] for f in page["Functions"]] == ["a", "b"]
    last = await scene.call("list_functions", MaxItems=2, Marker=page["NextMarker"])
    assert ([f["FunctionName"] for f in last["Functions"]], "NextMarker" in last) == (["c"], False)
    entry = last["Functions"][0]
    assert not {"State", "LastUpdateStatus", "RuntimeVersionConfig"} & entry.keys()
    listed = await scene.call("list_functions", FunctionVersion="ALL")
    assert listed["Functions"][0]["FunctionArn"] == f"{PREFIX}a:$LATEST"


@pytest.mark.parametrize("rules", [ControlPlaneRules(refuse_deprecated=True)])
async def test_deprecated_runtimes_when_refused(scene: Scene) -> None:
    # Source: test_lambda_api.json, TestRuntimeValidation.
    assert await scene.refused_creation(Runtime="python3.7") == (
        "InvalidParameterValueException",
        "The runtime parameter of python3.7 is no longer supported for creating or updating AWS Lambda functions. "
        "We recommend you use a supported runtime while creating or updating functions.",
    )


async def test_deprecated_runtimes_by_default(scene: Scene) -> None:
    assert (await scene.create(Runtime="nodejs14.x"))["Runtime"] == "nodejs14.x"


async def test_a_runtime_that_nothing_runs_is_always_refused(scene: Scene) -> None:
    code, text = await scene.refused_creation(Runtime="python2.7")
    assert (code, text[:45]) == ("InvalidParameterValueException", "The runtime parameter of python2.7 is no long")


@pytest.mark.parametrize("rules", [ControlPlaneRules(code_storage_bytes=200)])
async def test_code_storage_is_a_quota(scene: Scene) -> None:
    await scene.create_settled("first")
    assert await scene.refused_creation("second", Code={"ZipFile": zipped("two")}) == (
        "CodeStorageExceededException",
        "Code storage limit exceeded.",
    )
    await scene.call("update_function_code", FunctionName="first", ZipFile=zipped("instead"))


async def test_code_goes_when_nobody_needs_it(scene: Scene) -> None:
    first = await scene.create_settled(Code={"ZipFile": zipped("1")})
    names = {path.name for path in (scene.data_directory / "code").iterdir()}
    assert names == {base64.b64decode(first["CodeSha256"]).hex()}
    scene.in_environments.update(names)
    await scene.call("update_function_code", FunctionName="f", ZipFile=zipped("2"))
    await scene.plane._sweeper.sweep()
    assert len(list((scene.data_directory / "code").iterdir())) == 2
    scene.in_environments.clear()
    await scene.plane._sweeper.sweep()
    assert names.isdisjoint(path.name for path in (scene.data_directory / "code").iterdir())
