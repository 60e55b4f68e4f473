"""Functions with two versions and an alias, a deployment group for it, and hooks that answer as they are told."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function
from tests.scenario.events.conftest import wait_until

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

ROLE = "arn:aws:iam::000000000000:role/test"
WAIT_SECONDS = 60.0
ALL_EVENTS = ["DEPLOYMENT_FAILURE", "DEPLOYMENT_STOP_ON_ALARM", "DEPLOYMENT_STOP_ON_REQUEST"]
# Answers with what its description says, keeps the event in its log; the SDK finds the server by itself.
HOOK = """
import os, json, boto3
def handler(event, context):
    print("ran", json.dumps(event))
    status = os.environ["STATUS"]
    if status == "Silent":
        return
    boto3.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=event["DeploymentId"],
        lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"],
        status=status,
    )
"""


@pytest.fixture(scope="module")
def deploying(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server of the module's own with the embedded services."""
    return lambent_server_factory({"neighbours.enabled": "true", "isolation.level": "L0"})


def add_function(server: LambentServer, name: str) -> None:
    """Make a function with versions 1 and 2, which answer their numbers, and the alias `live` at 1."""
    client = server.client()
    source = {"index.py": "def handler(event, context):\n    return context.function_version\n"}
    create_function(client, name, source)
    client.publish_version(FunctionName=name)
    client.create_alias(FunctionName=name, Name="live", FunctionVersion="1")
    client.update_function_configuration(FunctionName=name, Description="second")
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    client.publish_version(FunctionName=name)


def add_hook(server: LambentServer, name: str, status: str) -> str:
    """Make a hook function; return its name."""
    create_function(server.client(), name, {"index.py": HOOK}, Environment={"Variables": {"STATUS": status}})
    return name


def add_group(server: LambentServer, name: str, config: str, **members: Any) -> None:
    """Make an application and a group of the function's name."""
    deploy = server.client("codedeploy")
    deploy.create_application(applicationName=name, computePlatform="Lambda")
    request = {"autoRollbackConfiguration": {"enabled": True, "events": ALL_EVENTS}, **members}
    deploy.create_deployment_group(
        applicationName=name,
        deploymentGroupName=name,
        deploymentConfigName=config,
        serviceRoleArn=ROLE,
        deploymentStyle={"deploymentType": "BLUE_GREEN", "deploymentOption": "WITH_TRAFFIC_CONTROL"},
        **request,
    )


def appspec(name: str, hooks: dict[str, str] | None = None) -> str:
    """Return the AppSpec that moves `live` from version 1 to version 2."""
    properties = {"Name": name, "Alias": "live", "CurrentVersion": "1", "TargetVersion": "2"}
    return json.dumps(
        {
            "version": 0.0,
            "Resources": [{name: {"Type": "AWS::Lambda::Function", "Properties": properties}}],
            "Hooks": [{event: function} for event, function in (hooks or {}).items()],
        }
    )


def begin(server: LambentServer, name: str, hooks: dict[str, str] | None = None) -> str:
    """Begin a deployment; return its id."""
    revision = {"revisionType": "AppSpecContent", "appSpecContent": {"content": appspec(name, hooks)}}
    made = server.client("codedeploy").create_deployment(
        applicationName=name, deploymentGroupName=name, revision=revision
    )
    return str(made["deploymentId"])


def info(server: LambentServer, deployment: str) -> dict[str, Any]:
    """Return what GetDeployment says."""
    found: dict[str, Any] = server.client("codedeploy").get_deployment(deploymentId=deployment)["deploymentInfo"]
    return found


def wait_over(server: LambentServer, deployment: str) -> dict[str, Any]:
    """Return what GetDeployment says when the deployment is over, and its rollback too."""

    def is_over(name: str) -> bool:
        return info(server, name)["status"] in ("Succeeded", "Failed", "Stopped")

    wait_until(lambda: is_over(deployment), f"{deployment} is over", WAIT_SECONDS)
    found = info(server, deployment)
    rollback = found.get("rollbackInfo", {}).get("rollbackDeploymentId")
    if rollback:
        wait_until(lambda: is_over(rollback), f"{rollback} is over", WAIT_SECONDS)
    return found


def alias(server: LambentServer, name: str) -> tuple[str, dict[str, float]]:
    """Return the version of `live`, and the weights of another."""
    found = server.client().get_alias(FunctionName=name, Name="live")
    return found["FunctionVersion"], found.get("RoutingConfig", {}).get("AdditionalVersionWeights", {})
