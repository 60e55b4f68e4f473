"""Functions of a stack: made, changed in place and by another one, removed with it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.running import make_zip_bytes
from tests.scenario.stacks.conftest import Stack, function, get_att, invoked, names, outputs, resource

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def test_a_stack_makes_changes_and_removes_a_function(stacking: LambentServer) -> None:
    given = outputs(Name={"Ref": "F"}, Arn=get_att("F", "Arn"))
    properties: dict[str, Any] = {
        "MemorySize": "256", "Timeout": "7", "Environment": {"Variables": {"NUMBER": 3, "YES": True}},
        "Tags": [{"Key": "team", "Value": "one"}],
    }  # fmt: skip
    stack = Stack(stacking, "plain").create({"F": function(**properties)}, Outputs=given)
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    name = stack.outputs["Name"]
    assert name.startswith("plain-F-")
    assert stack.physical_id("F") == name
    client = stacking.client()
    found = client.get_function(FunctionName=name)
    configuration = found["Configuration"]
    assert (configuration["MemorySize"], configuration["Timeout"]) == (256, 7)
    assert configuration["Environment"]["Variables"] == {"NUMBER": "3", "YES": "true"}
    assert configuration["FunctionArn"] == stack.outputs["Arn"]
    assert found["Tags"]["team"] == "one"
    assert found["Tags"]["aws:cloudformation:stack-name"] == "plain"
    assert invoked(stacking, name, 1) == [1, "$LATEST"]
    changed = function(
        "def handler(event, context):\n    return 'two'\n", Description="two", ReservedConcurrentExecutions=2
    )
    stack.update({"F": changed}, Outputs=given)
    assert stack.status == "UPDATE_COMPLETE", stack.reasons
    assert stack.outputs["Name"] == name
    assert invoked(stacking, name) == "two"
    found = client.get_function(FunctionName=name)
    configuration = found["Configuration"]
    assert (configuration["MemorySize"], configuration["Timeout"]) == (128, 3)
    assert configuration.get("Environment", {}).get("Variables", {}) == {}
    assert found["Concurrency"] == {"ReservedConcurrentExecutions": 2}
    assert "team" not in found["Tags"]
    stack.delete()
    assert stack.status == "DELETE_COMPLETE", stack.reasons
    assert name not in names(stacking)


def test_another_name_is_another_function(stacking: LambentServer) -> None:
    stack = Stack(stacking, "renamed").create({"F": function(FunctionName="before")})
    assert "before" in names(stacking)
    stack.update({"F": function(FunctionName="after")})
    assert stack.status == "UPDATE_COMPLETE", stack.reasons
    assert stack.physical_id("F") == "after"
    assert "before" not in names(stacking)
    stack.delete()
    assert "after" not in names(stacking)


def test_retained_functions_stay(stacking: LambentServer) -> None:
    kept = {**function(FunctionName="kept"), "DeletionPolicy": "Retain"}
    stack = Stack(stacking, "retaining").create({"F": kept}).delete()
    assert stack.status == "DELETE_COMPLETE"
    assert "kept" in names(stacking)
    stacking.client().delete_function(FunctionName="kept")


def test_inline_code_of_node(stacking: LambentServer) -> None:
    code = "exports.handler = async (event) => ({ got: event });"
    stack = Stack(stacking, "node").create({"F": function(code, Runtime="nodejs22.x", FunctionName="noded")})
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    assert invoked(stacking, "noded", 5) == {"got": 5}
    stack.delete()


def test_all_that_hangs_on_a_function(stacking: LambentServer) -> None:
    queue = {"Type": "AWS::SQS::Queue"}
    resources = {
        "Q": queue,
        "F": function(),
        "V": resource("Version", FunctionName={"Ref": "F"}, Description="first"),
        "A": resource("Alias", FunctionName={"Ref": "F"}, FunctionVersion=get_att("V", "Version"), Name="live"),
        "P": resource(
            "Permission", FunctionName={"Ref": "A"}, Action="lambda:InvokeFunction", Principal="s3.amazonaws.com"
        ),
        "U": resource("Url", TargetFunctionArn={"Ref": "F"}, Qualifier="live", AuthType="NONE"),
        "M": resource("EventSourceMapping", FunctionName={"Ref": "F"}, EventSourceArn=get_att("Q", "Arn"), BatchSize="3"
        ),
        "E": resource("EventInvokeConfig", FunctionName={"Ref": "F"}, Qualifier="$LATEST", MaximumRetryAttempts=1),
        "S": resource("CodeSigningConfig", AllowedPublishers={"SigningProfileVersionArns": [
            "arn:aws:signer:us-east-1:000000000000:/signing-profiles/some_profile/abcdefghij"]}),
    }  # fmt: skip
    resources["U"]["DependsOn"] = "A"
    given = outputs(
        Version={"Ref": "V"}, Alias={"Ref": "A"}, Url=get_att("U", "FunctionUrl"), Mapping={"Ref": "M"},
        MappingArn=get_att("M", "EventSourceMappingArn"), Signing={"Ref": "S"}, Statement=get_att("P", "Id"),
        Events={"Ref": "E"},
    )  # fmt: skip
    stack = Stack(stacking, "whole").create(resources, Outputs=given)
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    client, said = stacking.client(), stack.outputs
    name = stack.physical_id("F")
    assert "Tags" in client.get_function(FunctionName=name)
    assert "Tags" not in client.get_function(FunctionName=name, Qualifier="1")
    assert said["Version"].endswith(f":{name}:1")
    assert said["Alias"].endswith(f":{name}:live")
    assert client.get_alias(FunctionName=name, Name="live")["FunctionVersion"] == "1"
    assert said["Statement"] in client.get_policy(FunctionName=name, Qualifier="live")["Policy"]
    assert client.get_function_url_config(FunctionName=name, Qualifier="live")["FunctionUrl"] == said["Url"]
    mapping = client.get_event_source_mapping(UUID=said["Mapping"])
    assert (mapping["BatchSize"], mapping["EventSourceMappingArn"]) == (3, said["MappingArn"])
    assert said["Events"] == f"{name}|$LATEST"
    assert client.get_function_event_invoke_config(FunctionName=name)["MaximumRetryAttempts"] == 1
    assert client.get_code_signing_config(CodeSigningConfigArn=said["Signing"])
    resources["M"]["Properties"] |= {"BatchSize": 4}
    resources["E"]["Properties"] |= {"MaximumRetryAttempts": 0}
    resources["A"]["Properties"] |= {"Description": "changed"}
    stack.update(resources, Outputs=given)
    assert stack.status == "UPDATE_COMPLETE", stack.reasons
    assert stack.outputs == said
    assert client.get_event_source_mapping(UUID=said["Mapping"])["BatchSize"] == 4
    assert client.get_function_event_invoke_config(FunctionName=name)["MaximumRetryAttempts"] == 0
    assert client.get_alias(FunctionName=name, Name="live")["Description"] == "changed"
    stack.delete()
    assert stack.status == "DELETE_COMPLETE", stack.reasons
    assert name not in names(stacking)
    assert said["Mapping"] not in [one["UUID"] for one in client.list_event_source_mappings()["EventSourceMappings"]]


def test_another_description_is_another_version(stacking: LambentServer) -> None:
    def resources(description: str, code: str) -> dict[str, object]:
        return {"F": function(code), "V": resource("Version", FunctionName={"Ref": "F"}, Description=description)}

    stack = Stack(stacking, "versions").create(resources("one", "handler = lambda *_: 1"))
    first = stack.physical_id("V")
    stack.update(resources("two", "handler = lambda *_: 2"))
    assert stack.status == "UPDATE_COMPLETE", stack.reasons
    second = stack.physical_id("V")
    assert (first[-2:], second[-2:]) == (":1", ":2")
    assert invoked(stacking, second) == 2
    assert "1" not in {one["Version"] for one in stacking.client().list_versions_by_function(
        FunctionName=stack.physical_id("F"))["Versions"]}  # fmt: skip
    stack.delete()


def test_layers_of_a_stack(stacking: LambentServer) -> None:
    s3 = stacking.client("s3")
    s3.create_bucket(Bucket="layers")
    s3.put_object(
        Bucket="layers", Key="one.zip", Body=make_zip_bytes({"python/shared.py": "NAME = 'from the layer'\n"})
    )
    resources = {
        "L": resource("LayerVersion", Content={"S3Bucket": "layers", "S3Key": "one.zip"}),
        "P": resource(
            "LayerVersionPermission", LayerVersionArn={"Ref": "L"}, Action="lambda:GetLayerVersion", Principal="*"
        ),
        "F": function("import shared\nhandler = lambda *_: shared.NAME\n", Layers=[{"Ref": "L"}]),
    }  # fmt: skip
    stack = Stack(stacking, "layered").create(resources)
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    assert stack.physical_id("L").endswith(":layer:L:1")
    assert stack.physical_id("P").startswith(stack.physical_id("L") + "#")
    assert invoked(stacking, stack.physical_id("F")) == "from the layer"
    stack.delete()
    assert stack.status == "DELETE_COMPLETE", stack.reasons
    assert stacking.client().list_layers()["Layers"] == []
