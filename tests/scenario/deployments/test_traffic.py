"""Traffic of an alias is shifted by CodeDeploy's API: hooks in functions, alarms, a person who stops it, a crash."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.scenario.deployments.conftest import (
    WAIT_SECONDS,
    add_function,
    add_group,
    add_hook,
    alias,
    appspec,
    begin,
    info,
    wait_over,
)
from tests.scenario.events.conftest import logged, wait_until

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

CANARY = "CodeDeployDefault.LambdaCanary10Percent5Minutes"
ALL_AT_ONCE = "CodeDeployDefault.LambdaAllAtOnce"


def test_all_at_once_with_hooks_before_and_after(deploying: LambentServer) -> None:
    add_function(deploying, "whole")
    hooks = {
        "BeforeAllowTraffic": add_hook(deploying, "CodeDeployHook_before", "Succeeded"),
        "AfterAllowTraffic": add_hook(deploying, "CodeDeployHook_after", "Succeeded"),
    }
    add_group(deploying, "whole", ALL_AT_ONCE)
    name = begin(deploying, "whole", hooks)
    found = wait_over(deploying, name)
    assert found["status"] == "Succeeded", found.get("errorInformation")
    assert alias(deploying, "whole") == ("2", {})
    for function in hooks.values():
        [line] = logged(deploying, function)
        event = json.loads(line.removeprefix("ran "))
        assert set(event) == {"DeploymentId", "LifecycleEventHookExecutionId"}
        assert event["DeploymentId"] == name
    deploy = deploying.client("codedeploy")
    [target] = deploy.list_deployment_targets(deploymentId=name)["targetIds"]
    told = deploy.get_deployment_target(deploymentId=name, targetId=target)["deploymentTarget"]["lambdaTarget"]
    assert [(one["lifecycleEventName"], one["status"]) for one in told["lifecycleEvents"]] == [
        ("BeforeAllowTraffic", "Succeeded"),
        ("AllowTraffic", "Succeeded"),
        ("AfterAllowTraffic", "Succeeded"),
    ]
    assert told["lambdaFunctionInfo"]["targetVersionWeight"] == 1.0
    assert all(one["startTime"] <= one["endTime"] for one in told["lifecycleEvents"])


@pytest.mark.parametrize("event", ["BeforeAllowTraffic", "AfterAllowTraffic"])
def test_a_hook_that_fails_leaves_the_old_version(deploying: LambentServer, event: str) -> None:
    function = f"fails-{event}"
    add_function(deploying, function)
    add_group(deploying, function, ALL_AT_ONCE)
    name = begin(deploying, function, {event: add_hook(deploying, f"CodeDeployHook_{event}", "Failed")})
    found = wait_over(deploying, name)
    assert (found["status"], found["errorInformation"]["code"]) == ("Failed", "HOOK_EXECUTION_FAILURE")
    rollback = info(deploying, found["rollbackInfo"]["rollbackDeploymentId"])
    assert (rollback["status"], rollback["creator"]) == ("Succeeded", "codeDeployRollback")
    assert alias(deploying, function) == ("1", {})


@pytest.mark.long
def test_an_alarm_takes_a_canary_back(deploying: LambentServer) -> None:
    add_function(deploying, "alarmed")
    watch = deploying.client("cloudwatch")
    watch.put_metric_alarm(
        AlarmName="errors of alarmed", MetricName="Errors", Namespace="Own", Period=60, EvaluationPeriods=1,
        Threshold=1, ComparisonOperator="GreaterThanThreshold", Statistic="Sum",
    )  # fmt: skip
    watch.set_alarm_state(AlarmName="errors of alarmed", StateValue="OK", StateReason="to begin with")
    alarms = {"enabled": True, "alarms": [{"name": "errors of alarmed"}]}
    add_group(deploying, "alarmed", CANARY, alarmConfiguration=alarms)
    name = begin(deploying, "alarmed")
    wait_until(lambda: alias(deploying, "alarmed") == ("1", {"2": 0.1}), "a tenth has gone over", WAIT_SECONDS)
    # Both versions answer by their weights, through our own routing.
    client = deploying.client()
    answers = {client.invoke(FunctionName="alarmed:live")["ExecutedVersion"] for _ in range(150)}
    assert answers == {"1", "2"}
    watch.set_alarm_state(AlarmName="errors of alarmed", StateValue="ALARM", StateReason="tried")
    found = wait_over(deploying, name)
    assert found["status"] == "Stopped"
    assert found["errorInformation"]["code"] == "ALARM_ACTIVE"
    assert found["errorInformation"]["message"].endswith("Activated alarms: <errors of alarmed>")
    assert alias(deploying, "alarmed") == ("1", {})


def test_a_person_stops_it(deploying: LambentServer) -> None:
    add_function(deploying, "stopped")
    add_group(deploying, "stopped", CANARY)
    name = begin(deploying, "stopped")
    wait_until(lambda: alias(deploying, "stopped")[1] == {"2": 0.1}, "a tenth has gone over", WAIT_SECONDS)
    deploy = deploying.client("codedeploy")
    with pytest.raises(ClientError) as busy:
        begin(deploying, "stopped")
    assert busy.value.response["Error"] == {
        "Code": "DeploymentLimitExceededException",
        "Message": f"The Deployment Group 'stopped' already has an active Deployment '{name}'",
    }
    assert deploy.stop_deployment(deploymentId=name, autoRollbackEnabled=True)["status"] == "Succeeded"
    assert wait_over(deploying, name)["errorInformation"]["code"] == "MANUAL_STOP"
    assert alias(deploying, "stopped") == ("1", {})


def test_a_revision_in_s3_may_be_yaml(deploying: LambentServer) -> None:
    add_function(deploying, "stored")
    add_group(deploying, "stored", ALL_AT_ONCE)
    storage = deploying.client("s3")
    storage.create_bucket(Bucket="revisions")
    text = (
        "version: 0.0\nResources:\n  - f:\n      Type: AWS::Lambda::Function\n      Properties:\n"
        "        Name: stored\n        Alias: live\n        CurrentVersion: 1\n        TargetVersion: 2\n"
    )
    storage.put_object(Bucket="revisions", Key="appspec.yaml", Body=text.encode())
    location = {"bucket": "revisions", "key": "appspec.yaml", "bundleType": "YAML"}
    deploy = deploying.client("codedeploy")
    names = {"applicationName": "stored", "deploymentGroupName": "stored"}
    made = deploy.create_deployment(**names, revision={"revisionType": "S3", "s3Location": location})
    assert wait_over(deploying, made["deploymentId"])["status"] == "Succeeded"
    assert alias(deploying, "stored") == ("2", {})
    missing = {"revisionType": "S3", "s3Location": {**location, "key": "none.yaml"}}
    made = deploy.create_deployment(**names, revision=missing)
    assert wait_over(deploying, made["deploymentId"])["errorInformation"]["code"] == "REVISION_MISSING"


def test_what_is_not_there_is_said_in_codedeploys_words(deploying: LambentServer) -> None:
    deploy = deploying.client("codedeploy")
    with pytest.raises(deploy.exceptions.ApplicationDoesNotExistException, match="No application found for name: none"):
        deploy.get_application(applicationName="none")
    with pytest.raises(deploy.exceptions.DeploymentDoesNotExistException):
        deploy.get_deployment(deploymentId="d-ABCDEF123")
    with pytest.raises(deploy.exceptions.InvalidComputePlatformException):
        deploy.create_application(applicationName="servers", computePlatform="Server")


@pytest.mark.long
def test_a_killed_daemon_goes_on_where_it_was(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    add_function(server, "killed")
    hook = add_hook(server, "CodeDeployHook_silent", "Silent")
    add_group(server, "killed", CANARY)
    first = begin(server, "killed", {"BeforeAllowTraffic": hook})
    wait_until(lambda: bool(logged(server, hook)), "the hook was called", WAIT_SECONDS)
    [line] = logged(server, hook)
    event = json.loads(line.removeprefix("ran "))
    server.kill()
    server.start()
    assert info(server, first)["status"] == "InProgress"
    server.client("codedeploy").put_lifecycle_event_hook_execution_status(
        deploymentId=first, lifecycleEventHookExecutionId=event["LifecycleEventHookExecutionId"], status="Succeeded"
    )
    wait_until(lambda: alias(server, "killed")[1] == {"2": 0.1}, "a tenth has gone over", WAIT_SECONDS)
    server.kill()
    server.start()
    assert info(server, first)["status"] == "InProgress"
    server.client("codedeploy").stop_deployment(deploymentId=first)
    server.kill()
    server.start()
    assert wait_over(server, first)["status"] == "Stopped"
    assert alias(server, "killed") == ("1", {})


@pytest.mark.long
def test_a_canary_of_a_minute_goes_over(deploying: LambentServer) -> None:
    add_function(deploying, "minute")
    deploy = deploying.client("codedeploy")
    routing = {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 50, "canaryInterval": 1}}
    deploy.create_deployment_config(
        deploymentConfigName="minute", computePlatform="Lambda", trafficRoutingConfig=routing
    )
    add_group(deploying, "minute", "minute")
    revision = {"revisionType": "String", "string": {"content": appspec("minute")}}
    made = deploy.create_deployment(applicationName="minute", deploymentGroupName="minute", revision=revision)
    wait_until(lambda: alias(deploying, "minute")[1] == {"2": 0.5}, "half has gone over", WAIT_SECONDS)
    deploy.get_waiter("deployment_successful").wait(deploymentId=made["deploymentId"])
    found = info(deploying, made["deploymentId"])
    assert (found["completeTime"] - found["startTime"]).total_seconds() >= 60
    assert alias(deploying, "minute") == ("2", {})
