"""Traffic goes over in steps, hooks and alarms hold it up or send it back, and a crash changes nothing of that."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from lambent.model.errors import InvalidParameterValueError, LambdaError, ServiceError
from lambent.wire.error_forms import NeighbourError
from tests.unit.triggers.deployments.conftest import ALL_EVENTS, MINUTE_MS

if TYPE_CHECKING:
    from tests.unit.triggers.deployments.conftest import World

HOOKS = {"BeforeAllowTraffic": "before", "AfterAllowTraffic": "after"}
ALARMS = {"enabled": True, "alarms": [{"name": "errors"}, {"name": "slow"}]}


async def test_all_at_once(world: World) -> None:
    await world.add_group("CodeDeployDefault.LambdaAllAtOnce")
    name = await world.deploy()
    assert world.alias.history == [("2", {})]
    info = await world.info(name)
    assert (info["status"], info["creator"], info["deploymentConfigName"]) == (
        "Succeeded", "user", "CodeDeployDefault.LambdaAllAtOnce",
    )  # fmt: skip
    assert info["deploymentOverview"]["Succeeded"] == 1
    assert "errorInformation" not in info
    assert await world.events(name) == ["Succeeded", "Succeeded", "Succeeded"]


async def test_a_canary_waits_and_then_goes_over(world: World) -> None:
    await world.add_group("CodeDeployDefault.LambdaCanary10Percent30Minutes")
    name = await world.deploy()
    assert world.alias.history == [("1", {"2": 0.1})]
    await world.pass_ms(30 * MINUTE_MS - 1)
    assert (await world.info(name))["status"] == "InProgress"
    assert await world.events(name) == ["Succeeded", "InProgress", "Pending"]
    await world.pass_ms(1)
    assert world.alias.history == [("1", {"2": 0.1}), ("2", {})]
    assert (await world.info(name))["status"] == "Succeeded"


async def test_a_linear_one_takes_ten_steps(world: World) -> None:
    await world.add_group("CodeDeployDefault.LambdaLinear10PercentEvery10Minutes")
    name = await world.deploy()
    await world.pass_ms(89 * MINUTE_MS)
    assert [weights.get("2") for _, weights in world.alias.history] == [round(n / 10, 1) for n in range(1, 10)]
    await world.pass_ms(MINUTE_MS)
    assert world.alias.history[-1] == ("2", {})
    assert len(world.alias.history) == 10
    assert (await world.info(name))["status"] == "Succeeded"


async def test_steps_that_do_not_divide_end_with_what_is_left(world: World) -> None:
    routing = {"type": "TimeBasedLinear", "timeBasedLinear": {"linearPercentage": 40, "linearInterval": 1}}
    await world.ask(
        "create_deployment_config", deploymentConfigName="forty", computePlatform="Lambda", trafficRoutingConfig=routing
    )
    await world.add_group("forty")
    await world.deploy()
    await world.pass_ms(5 * MINUTE_MS)
    assert world.alias.history == [("1", {"2": 0.4}), ("1", {"2": 0.8}), ("2", {})]


async def test_hooks_are_called_with_two_members_and_hold_the_traffic_up(world: World) -> None:
    await world.add_group("CodeDeployDefault.LambdaAllAtOnce")
    name = await world.deploy(HOOKS)
    [(function, event, _)] = world.called
    assert function == "before"
    assert set(event) == {"DeploymentId", "LifecycleEventHookExecutionId"}
    assert event["DeploymentId"] == name
    assert world.alias.history == []
    await world.pass_ms(59 * MINUTE_MS)
    assert len(world.called) == 1
    await world.answer_hook("Succeeded")
    assert world.alias.history == [("2", {})]
    assert [function for function, _, _ in world.called] == ["before", "after"]
    assert await world.events(name) == ["Succeeded", "Succeeded", "InProgress"]
    await world.answer_hook("Succeeded")
    assert (await world.info(name))["status"] == "Succeeded"


async def test_a_hook_that_fails_before_sends_back(world: World) -> None:
    await world.add_group()
    name = await world.deploy(HOOKS)
    await world.answer_hook("Failed")
    info = await world.info(name)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "HOOK_EXECUTION_FAILURE")
    assert await world.events(name) == ["Failed", "Skipped", "Skipped"]
    assert (world.alias.version, world.alias.weights) == ("1", {})


async def test_a_hook_that_fails_after_sends_back_what_has_gone_over(world: World) -> None:
    await world.add_group("CodeDeployDefault.LambdaAllAtOnce")
    name = await world.deploy({"AfterAllowTraffic": "after"})
    assert world.alias.version == "2"
    await world.answer_hook("Failed")
    assert (world.alias.version, world.alias.weights) == ("1", {})
    assert await world.events(name) == ["Succeeded", "Succeeded", "Failed"]
    rollback = (await world.info(name))["rollbackInfo"]["rollbackDeploymentId"]
    assert (await world.info(rollback))["status"] == "Succeeded"
    assert await world.events(rollback) == ["Succeeded", "Succeeded", "Succeeded"]


async def test_a_hook_that_never_answers_has_failed_after_an_hour(world: World) -> None:
    await world.add_group("CodeDeployDefault.LambdaAllAtOnce")
    name = await world.deploy({"AfterAllowTraffic": "after"})
    await world.pass_ms(60 * MINUTE_MS - 1)
    assert (await world.info(name))["status"] == "InProgress"
    await world.pass_ms(1)
    assert (await world.info(name))["errorInformation"]["code"] == "HOOK_EXECUTION_FAILURE"
    assert world.alias.version == "1"
    with pytest.raises(LambdaError) as refused:
        await world.answer_hook("Succeeded")
    assert refused.value.code == "LifecycleEventAlreadyCompletedException"


async def test_a_hook_that_is_not_there_has_failed(world: World) -> None:
    await world.add_group()
    name = await world.deploy({"BeforeAllowTraffic": "nobody"})
    info = await world.info(name)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", "HOOK_EXECUTION_FAILURE")
    assert info["errorInformation"]["message"].startswith("Function not found: arn:aws:lambda:us-east-1:")


async def test_an_alarm_stops_and_sends_back_in_awss_words(world: World) -> None:
    await world.add_group(alarmConfiguration=ALARMS)
    name = await world.deploy()
    assert world.alias.weights == {"2": 0.1}
    await world.pass_ms(MINUTE_MS)
    world.alarms.on = {"slow", "errors", "another"}
    await world.pass_ms(5_000, step_ms=1_000)
    info = await world.info(name)
    assert info["status"] == "Stopped"
    assert info["errorInformation"] == {
        "code": "ALARM_ACTIVE",
        "message": "One or more alarms have been activated according to the Amazon CloudWatch metrics you selected, "
        "and the affected deployments have been stopped. Activated alarms: <errors> <slow>",
    }
    rollback = info["rollbackInfo"]["rollbackDeploymentId"]
    assert info["rollbackInfo"]["rollbackMessage"] == (
        f"Deployment {name} terminated. Automatic rollback is triggered with a DeploymentId {rollback}."
    )
    assert await world.events(name) == ["Succeeded", "Failed", "Skipped"]
    back = await world.info(rollback)
    assert (back["status"], back["creator"], back["deploymentConfigName"]) == (
        "Succeeded", "codeDeployRollback", "CodeDeployDefault.LambdaAllAtOnce",
    )  # fmt: skip
    assert back["rollbackInfo"] == {
        "rollbackTriggeringDeploymentId": name,
        "rollbackMessage": f"Deployment {rollback} is triggered to roll back deployment {name}.",
    }
    assert (world.alias.version, world.alias.weights) == ("1", {})


async def test_an_alarm_that_rings_before_lets_nothing_begin(world: World) -> None:
    world.alarms.on = {"errors"}
    await world.add_group(alarmConfiguration=ALARMS)
    name = await world.deploy()
    assert (await world.info(name))["status"] == "Stopped"
    assert await world.events(name) == ["Failed", "Skipped", "Skipped"]
    assert ("1", {"2": 0.1}) not in world.alias.history


async def test_silent_alarms_stop_it_after_a_minute_unless_they_are_ignored(world: World) -> None:
    world.alarms.error = NeighbourError("ServiceUnavailable", "gone", 503)
    await world.add_group(alarmConfiguration=ALARMS)
    name = await world.deploy()
    await world.pass_ms(50_000)
    assert (await world.info(name))["status"] == "InProgress"
    await world.pass_ms(20_000)
    assert (await world.info(name))["errorInformation"]["code"] == "ALARM_ACTIVE"
    ignoring = ALARMS | {"ignorePollAlarmFailure": True}
    await world.ask(
        "update_deployment_group", applicationName="a", currentDeploymentGroupName="g", alarmConfiguration=ignoring
    )
    name = await world.deploy()
    await world.pass_ms(5 * MINUTE_MS)
    assert (await world.info(name))["status"] == "Succeeded"


async def test_without_automatic_rollback_everything_stays_where_it_is(world: World) -> None:
    await world.add_group(alarmConfiguration=ALARMS, autoRollbackConfiguration={"enabled": False})
    name = await world.deploy()
    world.alarms.on = {"errors"}
    await world.pass_ms(10_000)
    info = await world.info(name)
    assert info["status"] == "Stopped"
    assert "rollbackInfo" not in info
    assert world.alias.history == [("1", {"2": 0.1})]


@pytest.mark.parametrize("asked", [True, False, None])
async def test_a_stopped_one_goes_back_if_that_is_asked_or_configured(world: World, asked: bool | None) -> None:
    events = [event for event in ALL_EVENTS if event != "DEPLOYMENT_STOP_ON_REQUEST"]
    await world.add_group(autoRollbackConfiguration={"enabled": True, "events": events})
    name = await world.deploy()
    said = {} if asked is None else {"autoRollbackEnabled": asked}
    answer = await world.ask("stop_deployment", deploymentId=name, **said)
    assert answer["status"] == "Succeeded"
    await world.pass_ms(20 * MINUTE_MS)
    info = await world.info(name)
    assert (info["status"], info["errorInformation"]["code"]) == ("Stopped", "MANUAL_STOP")
    assert (world.alias.version, world.alias.weights) == ("1", {} if asked else {"2": 0.1})
    with pytest.raises(LambdaError) as refused:
        await world.ask("stop_deployment", deploymentId=name)
    assert refused.value.code == "DeploymentAlreadyCompletedException"


async def test_a_crash_at_every_moment_changes_nothing(world: World) -> None:
    await world.add_group("CodeDeployDefault.LambdaLinear10PercentEvery1Minute", alarmConfiguration=ALARMS)
    name = await world.deploy(HOOKS)
    await world.restart()
    await world.shifting.do_due()
    assert len(world.called) == 1
    await world.answer_hook("Succeeded")
    for _ in range(9):
        await world.restart()
        await world.pass_ms(MINUTE_MS)
    await world.restart()
    await world.shifting.do_due()
    await world.answer_hook("Succeeded")
    assert [weights.get("2") for _, weights in world.alias.history[:-1]] == [round(n / 10, 1) for n in range(1, 10)]
    assert world.alias.history[-1] == ("2", {})
    assert (await world.info(name))["status"] == "Succeeded"


async def test_what_was_due_while_nothing_ran_is_done_after_it(world: World) -> None:
    await world.add_group()
    name = await world.deploy()
    await world.stop()
    world.clock.now_ms += 60 * MINUTE_MS
    await world.start()
    await world.shifting.do_due()
    assert world.alias.history[-1] == ("2", {})
    assert (await world.info(name))["status"] == "Succeeded"


async def test_a_crash_after_the_end_leaves_its_rollback_to_be_done(world: World) -> None:
    await world.add_group()
    name = await world.deploy()
    await world.ask("stop_deployment", deploymentId=name)
    assert world.alias.weights == {"2": 0.1}
    await world.restart()
    await world.shifting.do_due()
    assert (world.alias.version, world.alias.weights) == ("1", {})


async def test_what_cannot_be_done_now_is_tried_again(world: World) -> None:
    await world.add_group("CodeDeployDefault.LambdaAllAtOnce")
    world.alias.error = ServiceError("the database went away")
    world.queue_error = LambdaError("full", code="TooManyRequestsException")
    name = await world.deploy({"BeforeAllowTraffic": "before"})
    assert world.called == []
    await world.pass_ms(2_000, step_ms=1_000)
    await world.answer_hook("Succeeded")
    assert world.alias.history == []
    await world.pass_ms(2_000, step_ms=1_000)
    assert (await world.info(name))["status"] == "Succeeded"


async def test_an_alias_that_cannot_be_moved_ends_it(world: World) -> None:
    await world.add_group()
    world.alias.error = InvalidParameterValueError("not with these versions")
    name = await world.deploy()
    error = (await world.info(name))["errorInformation"]
    assert error == {"code": "INVALID_LAMBDA_FUNCTION", "message": "not with these versions"}


@pytest.mark.parametrize(
    ("current", "target", "code"),
    [
        ("2", "3", "INVALID_LAMBDA_CONFIGURATION"),
        ("1", "1", "INVALID_LAMBDA_CONFIGURATION"),
        ("1", "9", "INVALID_LAMBDA_FUNCTION"),
    ],
)
async def test_versions_that_are_not_as_said_end_it_before_it_begins(
    world: World, current: str, target: str, code: str
) -> None:
    await world.add_group()
    name = await world.deploy(current=current, target=target)
    info = await world.info(name)
    assert (info["status"], info["errorInformation"]["code"]) == ("Failed", code)
    assert "rollbackInfo" not in info
    assert world.alias.history == []
