"""A stack's alias is shifted by its UpdatePolicy, as SAM's DeploymentPreference writes it: well, and back."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import WaiterError

from tests.scenario.deployments.conftest import ALL_EVENTS, HOOK, ROLE, WAIT_SECONDS, alias, info
from tests.scenario.events.conftest import logged, wait_until

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

WAIT = {"Delay": 1, "MaxAttempts": 90}


def _function(source: str, **properties: Any) -> dict[str, Any]:
    given = {"Runtime": "python3.11", "Handler": "index.handler", "Role": ROLE, "Code": {"ZipFile": source}}
    return {"Type": "AWS::Lambda::Function", "Properties": {**given, **properties}}


def _template(name: str, number: int, *, status: str = "Succeeded", config: str = "LambdaAllAtOnce") -> str:
    """Return a stack as SAM's transform writes one with AutoPublishAlias and DeploymentPreference."""
    source = f"def handler(event, context):\n    return {number}\n"
    alarms = [{"Name": {"Ref": "Alarm"}}]
    resources: dict[str, Any] = {
        "F": _function(source, FunctionName=name),
        # Logical ids follow the code, so each new code is a new version.
        f"Version{number}": {
            "Type": "AWS::Lambda::Version", "DeletionPolicy": "Retain", "Properties": {"FunctionName": {"Ref": "F"}},
        },
        "Alias": {
            "Type": "AWS::Lambda::Alias",
            "Properties": {
                "FunctionName": {"Ref": "F"},
                "FunctionVersion": {"Fn::GetAtt": [f"Version{number}", "Version"]},
                "Name": "live",
            },
            "UpdatePolicy": {
                "CodeDeployLambdaAliasUpdate": {
                    "ApplicationName": {"Ref": "Application"},
                    "DeploymentGroupName": {"Ref": "Group"},
                    "BeforeAllowTrafficHook": {"Ref": "Hook"},
                }
            },
        },
        "Hook": _function(
            HOOK, FunctionName=f"CodeDeployHook_{name}", Environment={"Variables": {"STATUS": status}}
        ),
        "Alarm": {
            "Type": "AWS::CloudWatch::Alarm",
            "Properties": {
                "MetricName": "Errors", "Namespace": "Own", "Period": 60, "EvaluationPeriods": 1, "Threshold": 1,
                "ComparisonOperator": "GreaterThanThreshold", "Statistic": "Sum",
            },
        },
        "Application": {"Type": "AWS::CodeDeploy::Application", "Properties": {"ComputePlatform": "Lambda"}},
        "Group": {
            "Type": "AWS::CodeDeploy::DeploymentGroup",
            "Properties": {
                "ApplicationName": {"Ref": "Application"},
                "AlarmConfiguration": {"Enabled": True, "Alarms": alarms},
                "AutoRollbackConfiguration": {"Enabled": True, "Events": ALL_EVENTS},
                "DeploymentConfigName": f"CodeDeployDefault.{config}",
                "DeploymentStyle": {"DeploymentType": "BLUE_GREEN", "DeploymentOption": "WITH_TRAFFIC_CONTROL"},
                "ServiceRoleArn": ROLE,
            },
        },
    }  # fmt: skip
    outputs = {one: {"Value": {"Ref": one}} for one in ("Application", "Group", "Alarm")}
    return json.dumps({"Resources": resources, "Outputs": outputs})


def _create(server: LambentServer, name: str) -> dict[str, str]:
    stacks = server.client("cloudformation")
    stacks.create_stack(StackName=name, TemplateBody=_template(name, 1))
    stacks.get_waiter("stack_create_complete").wait(StackName=name, WaiterConfig=WAIT)
    [stack] = stacks.describe_stacks(StackName=name)["Stacks"]
    return {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}


def _deployments(server: LambentServer, made: dict[str, str]) -> list[str]:
    names = {"applicationName": made["Application"], "deploymentGroupName": made["Group"]}
    found: list[str] = server.client("codedeploy").list_deployments(**names)["deployments"]
    return found


def _reason(server: LambentServer, name: str) -> str:
    events = server.client("cloudformation").describe_stack_events(StackName=name)["StackEvents"]
    failed = [one for one in events if one["ResourceStatus"] == "UPDATE_FAILED" and one["LogicalResourceId"] == "Alias"]
    return str(failed[0]["ResourceStatusReason"])


def test_an_update_goes_through_codedeploy_and_a_creation_does_not(deploying: LambentServer) -> None:
    made = _create(deploying, "shifted")
    assert _deployments(deploying, made) == []
    assert alias(deploying, "shifted") == ("1", {})
    stacks = deploying.client("cloudformation")
    stacks.update_stack(StackName="shifted", TemplateBody=_template("shifted", 2))
    stacks.get_waiter("stack_update_complete").wait(StackName="shifted", WaiterConfig=WAIT)
    [deployment] = _deployments(deploying, made)
    assert info(deploying, deployment)["status"] == "Succeeded"
    assert alias(deploying, "shifted") == ("2", {})
    assert len(logged(deploying, "CodeDeployHook_shifted")) == 1
    stacks.delete_stack(StackName="shifted")
    stacks.get_waiter("stack_delete_complete").wait(StackName="shifted", WaiterConfig=WAIT)
    assert made["Application"] not in deploying.client("codedeploy").list_applications()["applications"]


@pytest.mark.long
def test_a_hook_that_fails_rolls_the_stack_back(deploying: LambentServer) -> None:
    made = _create(deploying, "refused")
    stacks = deploying.client("cloudformation")
    stacks.update_stack(StackName="refused", TemplateBody=_template("refused", 2, status="Failed"))
    with pytest.raises(WaiterError):
        stacks.get_waiter("stack_update_complete").wait(StackName="refused", WaiterConfig=WAIT)
    [stack] = stacks.describe_stacks(StackName="refused")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert alias(deploying, "refused") == ("1", {})
    failed = [one for one in _deployments(deploying, made) if info(deploying, one)["status"] == "Failed"]
    assert len(failed) == 1
    message = info(deploying, failed[0])["errorInformation"]["message"]
    reason = _reason(deploying, "refused")
    assert reason.startswith(f'Resource handler returned message: "{failed[0]} failed. {message}" (RequestToken: ')
    assert reason.endswith("HandlerErrorCode: InternalFailure)")


@pytest.mark.long
def test_an_alarm_in_the_middle_rolls_the_stack_back(deploying: LambentServer) -> None:
    made = _create(deploying, "rung")
    watch, stacks = deploying.client("cloudwatch"), deploying.client("cloudformation")
    text = _template("rung", 2, config="LambdaCanary10Percent30Minutes")
    stacks.update_stack(StackName="rung", TemplateBody=text)
    wait_until(lambda: alias(deploying, "rung") == ("1", {"2": 0.1}), "a tenth has gone over", WAIT_SECONDS)
    watch.set_alarm_state(AlarmName=made["Alarm"], StateValue="ALARM", StateReason="tried")
    with pytest.raises(WaiterError):
        stacks.get_waiter("stack_update_complete").wait(StackName="rung", WaiterConfig=WAIT)
    [stack] = stacks.describe_stacks(StackName="rung")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert alias(deploying, "rung") == ("1", {})
    assert f"Activated alarms: <{made['Alarm']}>" in _reason(deploying, "rung")


def _sam_template(number: int) -> str:
    hook = "".join(f"        {line}\n" for line in HOOK.strip().splitlines())
    return f"""
Transform: AWS::Serverless-2016-10-31
Resources:
  Orders:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: orders
      Runtime: python3.11
      Handler: index.handler
      InlineCode: "def handler(event, context): return {number}"
      AutoPublishAlias: live
      DeploymentPreference:
        Type: Linear10PercentEvery10Minutes
        Alarms: [!Ref Alarm]
        Hooks:
          PreTraffic: !Ref Check
  Check:
    Type: AWS::Serverless::Function
    Properties:
      FunctionName: CodeDeployHook_orders
      Runtime: python3.11
      Handler: index.handler
      DeploymentPreference:
        Enabled: false
      Environment:
        Variables:
          STATUS: Succeeded
      InlineCode: |
{hook}
  Alarm:
    Type: AWS::CloudWatch::Alarm
    Properties:
      MetricName: Errors
      Namespace: Own
      Period: 60
      EvaluationPeriods: 1
      Threshold: 1
      ComparisonOperator: GreaterThanThreshold
      Statistic: Sum
Outputs:
  Application:
    Value: !Ref ServerlessDeploymentApplication
  Group:
    Value: !Ref OrdersDeploymentGroup
  Alarm:
    Value: !Ref Alarm
"""


@pytest.mark.long
def test_sams_deployment_preference_shifts_and_an_alarm_takes_it_back(deploying: LambentServer) -> None:
    stacks, watch = deploying.client("cloudformation"), deploying.client("cloudwatch")
    capabilities = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
    stacks.create_stack(StackName="sam", TemplateBody=_sam_template(1), Capabilities=capabilities)
    stacks.get_waiter("stack_create_complete").wait(StackName="sam", WaiterConfig=WAIT)
    [stack] = stacks.describe_stacks(StackName="sam")["Stacks"]
    made = {one["OutputKey"]: one["OutputValue"] for one in stack["Outputs"]}
    assert alias(deploying, "orders") == ("1", {})
    stacks.update_stack(StackName="sam", TemplateBody=_sam_template(2), Capabilities=capabilities)
    wait_until(lambda: alias(deploying, "orders") == ("1", {"2": 0.1}), "a tenth has gone over", WAIT_SECONDS)
    assert len(logged(deploying, "CodeDeployHook_orders")) == 1
    [deployment] = _deployments(deploying, made)
    assert info(deploying, deployment)["deploymentConfigName"] == (
        "CodeDeployDefault.LambdaLinear10PercentEvery10Minutes"
    )
    watch.set_alarm_state(AlarmName=made["Alarm"], StateValue="ALARM", StateReason="tried")
    with pytest.raises(WaiterError):
        stacks.get_waiter("stack_update_complete").wait(StackName="sam", WaiterConfig=WAIT)
    [stack] = stacks.describe_stacks(StackName="sam")["Stacks"]
    assert stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE"
    assert alias(deploying, "orders") == ("1", {})


@pytest.mark.long
def test_a_cancelled_update_takes_the_traffic_back(deploying: LambentServer) -> None:
    made = _create(deploying, "cancelled")
    stacks = deploying.client("cloudformation")
    text = _template("cancelled", 2, config="LambdaCanary10Percent30Minutes")
    stacks.update_stack(StackName="cancelled", TemplateBody=text)
    wait_until(lambda: alias(deploying, "cancelled") == ("1", {"2": 0.1}), "a tenth has gone over", WAIT_SECONDS)
    stacks.cancel_update_stack(StackName="cancelled")
    stacks.get_waiter("stack_rollback_complete").wait(StackName="cancelled", WaiterConfig=WAIT)
    assert alias(deploying, "cancelled") == ("1", {})
    assert "Stopped" in [info(deploying, one)["status"] for one in _deployments(deploying, made)]


@pytest.mark.long
def test_a_daemon_killed_in_the_middle_of_an_update_takes_the_traffic_back(
    lambent_server_factory: ServerFactory,
) -> None:
    server = lambent_server_factory({"neighbours.enabled": "true"})
    made = _create(server, "cut")
    stacks = server.client("cloudformation")
    text = _template("cut", 2, config="LambdaCanary10Percent30Minutes")
    stacks.update_stack(StackName="cut", TemplateBody=text)
    wait_until(lambda: alias(server, "cut") == ("1", {"2": 0.1}), "a tenth has gone over", WAIT_SECONDS)
    server.kill()
    server.start()

    def is_back() -> bool:
        [stack] = server.client("cloudformation").describe_stacks(StackName="cut")["Stacks"]
        return bool(stack["StackStatus"] == "UPDATE_ROLLBACK_COMPLETE")

    wait_until(is_back, "the stack is rolled back", WAIT_SECONDS)
    wait_until(lambda: alias(server, "cut") == ("1", {}), "the alias is back", WAIT_SECONDS)
    assert all(info(server, one)["status"] != "InProgress" for one in _deployments(server, made))
