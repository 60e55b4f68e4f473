"""CodeDeploy's operations: what they answer, and its codes and texts for what is not there or not allowed."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambent.model.errors import LambdaError
from tests.unit.triggers.deployments.conftest import MINUTE_MS, ROLE, appspec

if TYPE_CHECKING:
    from tests.unit.triggers.deployments.conftest import World

CANARY = {"type": "TimeBasedCanary", "timeBasedCanary": {"canaryPercentage": 10, "canaryInterval": 1}}


@pytest.mark.parametrize(
    ("operation", "request_", "code", "text"),
    [
        ("get_application", {"applicationName": "x"}, "ApplicationDoesNotExist", "No application found for name: x"),
        ("get_application", {}, "ApplicationNameRequired", None),
        ("create_application", {"applicationName": "a b", "computePlatform": "Lambda"}, "InvalidApplicationName", None),
        ("create_application", {"applicationName": "b", "computePlatform": "ECS"}, "InvalidComputePlatform", None),
        ("create_application", {"applicationName": "a", "computePlatform": "Lambda"}, "ApplicationAlreadyExists", None),
        (
            "get_deployment_group", {"applicationName": "a", "deploymentGroupName": "x"}, "DeploymentGroupDoesNotExist",
            "No Deployment Group found for name: x",
        ),
        (
            "create_deployment_group",
            {"applicationName": "a", "deploymentGroupName": "g", "serviceRoleArn": ROLE},
            "DeploymentGroupAlreadyExists", None,
        ),
        (
            "create_deployment_group", {"applicationName": "a", "deploymentGroupName": "h", "serviceRoleArn": "role"},
            "InvalidRole", None,
        ),
        (
            "create_deployment_group",
            {
                "applicationName": "a", "deploymentGroupName": "h", "serviceRoleArn": ROLE,
                "deploymentConfigName": "none",
            },
            "DeploymentConfigDoesNotExist", "No deployment configuration found for name: none",
        ),
        (
            "update_deployment_group",
            {
                "applicationName": "a", "currentDeploymentGroupName": "g",
                "alarmConfiguration": {"enabled": True, "alarms": []},
            },
            "InvalidAlarmConfig", None,
        ),
        (
            "update_deployment_group",
            {
                "applicationName": "a", "currentDeploymentGroupName": "g",
                "alarmConfiguration": {"alarms": [{"name": str(n)} for n in range(11)]},
            },
            "AlarmsLimitExceeded", None,
        ),
        (
            "update_deployment_group",
            {
                "applicationName": "a", "currentDeploymentGroupName": "g",
                "autoRollbackConfiguration": {"enabled": True, "events": ["NEVER"]},
            },
            "InvalidAutoRollbackConfig", None,
        ),
        (
            "update_deployment_group",
            {
                "applicationName": "a", "currentDeploymentGroupName": "g",
                "deploymentStyle": {"deploymentType": "IN_PLACE"},
            },
            "InvalidDeploymentStyle", None,
        ),
        ("get_deployment", {"deploymentId": "d-ABCDEFGHI"}, "DeploymentDoesNotExist", None),
        ("get_deployment", {"deploymentId": "nonsense"}, "InvalidDeploymentId", None),
        ("get_deployment", {}, "DeploymentIdRequired", None),
        ("create_deployment", {"applicationName": "a", "deploymentGroupName": "g"}, "RevisionRequired", None),
        (
            "create_deployment", {"applicationName": "a", "deploymentGroupName": "g", "revision": {"string": {}}},
            "InvalidRevision", None,
        ),
        (
            "create_deployment",
            {
                "applicationName": "a", "deploymentGroupName": "g",
                "revision": {"s3Location": {"bucket": "b", "key": "k", "bundleType": "zip"}},
            },
            "InvalidRevision", "BundleType must be either YAML or JSON",
        ),
        ("list_deployments", {"applicationName": "a"}, "DeploymentGroupNameRequired", None),
        ("list_applications", {"nextToken": "?"}, "InvalidNextToken", None),
        (
            "create_deployment_config", {"deploymentConfigName": "c", "computePlatform": "Lambda"},
            "InvalidTrafficRoutingConfiguration", None,
        ),
        (
            "create_deployment_config",
            {
                "deploymentConfigName": "c", "computePlatform": "Lambda",
                "trafficRoutingConfig": {**CANARY, "timeBasedCanary": {"canaryPercentage": 100, "canaryInterval": 1}},
            },
            "InvalidTrafficRoutingConfiguration", None,
        ),
        (
            "create_deployment_config",
            {"deploymentConfigName": "CodeDeployDefault.Mine", "computePlatform": "Lambda"},
            "InvalidDeploymentConfigName", None,
        ),
        ("list_tags_for_resource", {"ResourceArn": "x"}, "InvalidArn", None),
        ("batch_get_deployments", {"deploymentIds": ["d-1"] * 101}, "BatchLimitExceeded", None),
    ],
)  # fmt: skip
async def test_refusals(world: World, operation: str, request_: dict[str, Any], code: str, text: str | None) -> None:
    await world.add_group()
    with pytest.raises(LambdaError) as refused:
        await world.ask(operation, **request_)
    assert refused.value.code == f"{code}Exception"
    assert text in (None, refused.value.message)


async def test_predefined_configurations_are_those_of_lambda(world: World) -> None:
    names = (await world.ask("list_deployment_configs"))["deploymentConfigsList"]
    assert names == [
        "CodeDeployDefault.LambdaAllAtOnce",
        "CodeDeployDefault.LambdaCanary10Percent10Minutes",
        "CodeDeployDefault.LambdaCanary10Percent15Minutes",
        "CodeDeployDefault.LambdaCanary10Percent30Minutes",
        "CodeDeployDefault.LambdaCanary10Percent5Minutes",
        "CodeDeployDefault.LambdaLinear10PercentEvery10Minutes",
        "CodeDeployDefault.LambdaLinear10PercentEvery1Minute",
        "CodeDeployDefault.LambdaLinear10PercentEvery2Minutes",
        "CodeDeployDefault.LambdaLinear10PercentEvery3Minutes",
    ]
    found = await world.ask("get_deployment_config", deploymentConfigName=names[4])
    assert found["deploymentConfigInfo"]["trafficRoutingConfig"] == {
        "type": "TimeBasedCanary",
        "timeBasedCanary": {"canaryPercentage": 10, "canaryInterval": 5},
    }


async def test_a_configuration_in_use_stays(world: World) -> None:
    await world.ask(
        "create_deployment_config", deploymentConfigName="mine", computePlatform="Lambda", trafficRoutingConfig=CANARY
    )
    await world.add_group("mine")
    with pytest.raises(LambdaError) as refused:
        await world.ask("delete_deployment_config", deploymentConfigName="mine")
    assert refused.value.code == "DeploymentConfigInUseException"
    await world.ask("delete_application", applicationName="a")
    await world.ask("delete_deployment_config", deploymentConfigName="mine")
    assert "mine" not in (await world.ask("list_deployment_configs"))["deploymentConfigsList"]


async def test_a_group_has_one_deployment_at_a_time_and_remembers_the_last(world: World) -> None:
    await world.add_group()
    first = await world.deploy()
    with pytest.raises(LambdaError) as refused:
        await world.deploy()
    assert refused.value.code == "DeploymentLimitExceededException"
    assert refused.value.message == f"The Deployment Group 'g' already has an active Deployment '{first}'"
    await world.pass_ms(5 * MINUTE_MS)
    second = await world.deploy(current="2", target="3")
    await world.ask("stop_deployment", deploymentId=second)
    group = await world.ask("get_deployment_group", applicationName="a", deploymentGroupName="g")
    info = group["deploymentGroupInfo"]
    assert info["lastSuccessfulDeployment"]["deploymentId"] == first
    assert info["lastAttemptedDeployment"]["deploymentId"] not in (first, second)
    await world.shifting.do_due()
    listed = await world.ask("list_deployments", applicationName="a", deploymentGroupName="g")
    assert len(listed["deployments"]) == 3
    assert listed["deployments"][-1] == first
    stopped = await world.ask("list_deployments", includeOnlyStatuses=["Stopped"])
    assert stopped["deployments"] == [second]


async def test_answers_of_hooks_that_nobody_asked_for(world: World) -> None:
    await world.add_group()
    name = await world.deploy({"BeforeAllowTraffic": "before"})
    _, event, _ = world.called[0]
    hook_id = event["LifecycleEventHookExecutionId"]
    for said, status, code in [
        (hook_id, "Skipped", "InvalidLifecycleEventHookExecutionStatus"),
        ("other", "Succeeded", "InvalidLifecycleEventHookExecutionId"),
    ]:
        with pytest.raises(LambdaError) as refused:
            await world.ask(
                "put_lifecycle_event_hook_execution_status",
                deploymentId=name, lifecycleEventHookExecutionId=said, status=status,
            )  # fmt: skip
        assert refused.value.code == f"{code}Exception"
    await world.answer_hook("Succeeded")
    with pytest.raises(LambdaError) as refused:
        await world.answer_hook("Failed")
    assert refused.value.code == "LifecycleEventAlreadyCompletedException"
    assert world.alias.weights == {"2": 0.1}


async def test_a_target_tells_how_much_has_gone_over(world: World) -> None:
    await world.add_group()
    name = await world.deploy()
    [target] = (await world.ask("list_deployment_targets", deploymentId=name))["targetIds"]
    found = (await world.ask("get_deployment_target", deploymentId=name, targetId=target))["deploymentTarget"]
    assert found["deploymentTargetType"] == "LambdaTarget"
    assert found["lambdaTarget"]["lambdaFunctionInfo"] == {
        "functionName": "f",
        "functionAlias": "live",
        "currentVersion": "1",
        "targetVersion": "2",
        "targetVersionWeight": 0.1,
    }
    with pytest.raises(LambdaError) as refused:
        await world.ask("get_deployment_target", deploymentId=name, targetId="g:live")
    assert refused.value.code == "DeploymentTargetDoesNotExistException"


async def test_names_and_tags_can_be_changed(world: World) -> None:
    await world.add_group()
    await world.ask("update_application", applicationName="a", newApplicationName="b")
    await world.ask(
        "update_deployment_group", applicationName="b", currentDeploymentGroupName="g", newDeploymentGroupName="h"
    )
    assert (await world.ask("list_applications"))["applications"] == ["b"]
    assert (await world.ask("list_deployment_groups", applicationName="b"))["deploymentGroups"] == ["h"]
    arn = "arn:aws:codedeploy:us-east-1:000000000000:deploymentgroup:b/h"
    await world.ask("tag_resource", ResourceArn=arn, Tags=[{"Key": "k", "Value": "v"}, {"Key": "l", "Value": "w"}])
    await world.ask("untag_resource", ResourceArn=arn, TagKeys=["k"])
    assert (await world.ask("list_tags_for_resource", ResourceArn=arn))["Tags"] == [{"Key": "l", "Value": "w"}]
    await world.ask("delete_deployment_group", applicationName="b", deploymentGroupName="h")
    assert (await world.ask("list_deployment_groups", applicationName="b"))["deploymentGroups"] == []


async def test_pages_follow_each_other(world: World) -> None:
    for number in range(150):
        await world.ask("create_application", applicationName=f"a{number:03}", computePlatform="Lambda")
    first = await world.ask("list_applications")
    assert len(first["applications"]) == 100
    second = await world.ask("list_applications", nextToken=first["nextToken"])
    assert second["applications"] == [f"a{number:03}" for number in range(100, 150)]
    assert second["nextToken"] is None


async def test_a_hash_of_the_content_must_be_its_own(world: World) -> None:
    await world.add_group()
    content = {"content": appspec(), "sha256": "0" * 64}
    with pytest.raises(LambdaError) as refused:
        await world.ask(
            "create_deployment", applicationName="a", deploymentGroupName="g",
            revision={"revisionType": "AppSpecContent", "appSpecContent": content},
        )  # fmt: skip
    assert refused.value.code == "InvalidRevisionException"


async def test_content_that_is_no_appspec_ends_the_deployment(world: World) -> None:
    await world.add_group()
    revision = {"revisionType": "String", "string": {"content": '{"version": 0.0}'}}
    made = await world.ask("create_deployment", applicationName="a", deploymentGroupName="g", revision=revision)
    await world.shifting.do_due()
    info = await world.info(made["deploymentId"])
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "INVALID_REVISION")
