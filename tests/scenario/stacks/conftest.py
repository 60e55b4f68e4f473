"""A server with the embedded services, and stacks of templates."""

from __future__ import annotations

import json
import time
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

ROLE = "arn:aws:iam::000000000000:role/any"
WAIT_SECONDS = 120.0
_CAPABILITIES = ["CAPABILITY_NAMED_IAM", "CAPABILITY_AUTO_EXPAND"]
ECHOING = "def handler(event, context):\n    return [event, context.function_version]\n"


@pytest.fixture(scope="module")
def stacking(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server of the module's own whose functions are plain processes."""
    return lambent_server_factory({"neighbours.enabled": "true", "isolation.level": "L0"})


def function(code: str = ECHOING, **properties: Any) -> dict[str, Any]:
    """Return a function of a template, with its code in it."""
    given = {"Runtime": "python3.13", "Handler": "index.handler", "Role": ROLE, "Code": {"ZipFile": code}}
    return {"Type": "AWS::Lambda::Function", "Properties": {**given, **properties}}


def resource(kind: str, **properties: Any) -> dict[str, Any]:
    """Return a resource of a template of one of Lambda's types."""
    return {"Type": f"AWS::Lambda::{kind}", "Properties": properties}


def get_att(name: str, attribute: str) -> dict[str, Any]:
    """Return what stands for an attribute of another resource."""
    return {"Fn::GetAtt": [name, attribute]}


class Stack:
    """A stack by its name, driven as a user does."""

    def __init__(self, server: LambentServer, name: str) -> None:
        self.server = server
        self.name = name
        self.client = server.client("cloudformation")

    def create(self, resources: dict[str, Any], **sections: Any) -> Stack:
        """Create it and wait until that has come to its end."""
        self.client.create_stack(
            StackName=self.name, TemplateBody=body(resources, sections), Capabilities=_CAPABILITIES
        )
        self.wait_ended()
        return self

    def update(self, resources: dict[str, Any], **sections: Any) -> Stack:
        """Change it and wait until that has come to its end."""
        self.client.update_stack(StackName=self.name, TemplateBody=body(resources, sections))
        self.wait_ended()
        return self

    def delete(self) -> Stack:
        """Remove it and wait until that has come to its end."""
        identifier = self.described["StackId"]
        self.client.delete_stack(StackName=self.name)
        self.name = identifier
        self.wait_ended()
        return self

    def wait_ended(self) -> None:
        """Return when nothing of it is under way."""
        deadline = time.monotonic() + WAIT_SECONDS
        while self.status.endswith("_IN_PROGRESS"):
            assert time.monotonic() < deadline, self.reasons
            time.sleep(0.05)

    @property
    def described(self) -> dict[str, Any]:
        """What DescribeStacks says of it."""
        found: dict[str, Any] = self.client.describe_stacks(StackName=self.name)["Stacks"][0]
        return found

    @property
    def status(self) -> str:
        """Its status."""
        return str(self.described["StackStatus"])

    @property
    def outputs(self) -> dict[str, str]:
        """Its outputs by their names."""
        return {one["OutputKey"]: one["OutputValue"] for one in self.described.get("Outputs", ())}

    @property
    def events(self) -> list[dict[str, Any]]:
        """Its events, oldest first."""
        pages = self.client.get_paginator("describe_stack_events").paginate(StackName=self.name)
        return [one for page in pages for one in page["StackEvents"]][::-1]

    @property
    def reasons(self) -> list[str]:
        """What its events give as reasons."""
        return [one["ResourceStatusReason"] for one in self.events if one.get("ResourceStatusReason")]

    def physical_id(self, name: str) -> str:
        """What a resource is called outside of the stack."""
        found = self.client.describe_stack_resource(StackName=self.name, LogicalResourceId=name)
        return str(found["StackResourceDetail"]["PhysicalResourceId"])


def body(resources: dict[str, Any], sections: dict[str, Any]) -> str:
    """Return a template."""
    return json.dumps({"Resources": resources, **sections})


def outputs(**values: Any) -> dict[str, Any]:
    """Return the Outputs of a template."""
    return {name: {"Value": value} for name, value in values.items()}


def invoked(server: LambentServer, name: str, payload: Any = None) -> Any:
    """Return what a function answers."""
    answer = server.client().invoke(FunctionName=name, Payload=json.dumps(payload).encode())
    assert "FunctionError" not in answer, answer["Payload"].read()
    return json.loads(answer["Payload"].read())


def names(server: LambentServer) -> set[str]:
    """Return the names of all functions."""
    return {one["FunctionName"] for one in server.client().list_functions()["Functions"]}
