"""Properties of CodeDeploy's types as members of requests, and what an alias' policy asks for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from lambent.neighbours.program.stack_types.deployments import CodeDeploy, RefusedError, Resources
from lambent.neighbours.program.stack_types.operations import Answered, ResourceFailedError

if TYPE_CHECKING:
    from collections.abc import Callable


class Daemon:
    """Remembers what it is asked, and refuses what it is told to."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, dict[str, Any]]] = []
        self.refusals: dict[str, Answered] = {}

    def send(self, operation: str, members: dict[str, Any]) -> Answered:
        self.asked.append((operation, members))
        return self.refusals.get(operation, Answered({}))


def _rows(daemon: Daemon) -> dict[str, dict[str, Callable[..., Any]]]:
    return Resources(CodeDeploy(daemon.send), lambda stack, name, max_len: f"{stack}-{name}-1").table()


def test_a_group_is_asked_for_in_codedeploys_members() -> None:
    daemon = Daemon()
    properties = {
        "ApplicationName": "a",
        "ServiceRoleArn": "arn:aws:iam::000000000000:role/r",
        "AlarmConfiguration": {"Enabled": "true", "Alarms": [{"Name": "One"}]},
        "AutoRollbackConfiguration": {"Enabled": True, "Events": ["DEPLOYMENT_FAILURE"]},
        "Tags": [{"Key": "Team", "Value": 1}],
    }
    made = _rows(daemon)["AWS::CodeDeploy::DeploymentGroup"]["create"]("G", properties, "s")
    assert made == ("s-G-1", {})
    [(operation, members)] = daemon.asked
    assert operation == "codedeploy:CreateDeploymentGroup"
    assert members == {
        "applicationName": "a",
        "deploymentGroupName": "s-G-1",
        "serviceRoleArn": "arn:aws:iam::000000000000:role/r",
        "alarmConfiguration": {"enabled": True, "alarms": [{"name": "One"}]},
        "autoRollbackConfiguration": {"enabled": True, "events": ["DEPLOYMENT_FAILURE"]},
        "tags": [{"Key": "Team", "Value": "1"}],
    }


def test_alarms_that_a_template_no_longer_has_are_switched_off() -> None:
    daemon = Daemon()
    old = {"ApplicationName": "a", "ServiceRoleArn": "r", "AlarmConfiguration": {"Enabled": True}}
    new = {"ApplicationName": "a", "ServiceRoleArn": "r"}
    _rows(daemon)["AWS::CodeDeploy::DeploymentGroup"]["update"]("g", old, new, "s", "G")
    assert daemon.asked[0][1]["alarmConfiguration"] == {"enabled": False}


def test_numbers_of_parameters_are_numbers() -> None:
    daemon = Daemon()
    routing = {"Type": "TimeBasedCanary", "TimeBasedCanary": {"CanaryPercentage": "10", "CanaryInterval": "5"}}
    properties = {"ComputePlatform": "Lambda", "TrafficRoutingConfig": routing}
    _rows(daemon)["AWS::CodeDeploy::DeploymentConfig"]["create"]("C", properties, "s")
    assert daemon.asked[0][1]["trafficRoutingConfig"]["timeBasedCanary"] == {
        "canaryPercentage": 10,
        "canaryInterval": 5,
    }


def test_a_group_whose_application_is_gone_is_gone() -> None:
    daemon = Daemon()
    gone = Answered({}, "ApplicationDoesNotExistException", "No application found for name: a", 400, "id")
    daemon.refusals["codedeploy:DeleteDeploymentGroup"] = gone
    _rows(daemon)["AWS::CodeDeploy::DeploymentGroup"]["delete"]("g", {"ApplicationName": "a"})
    daemon.refusals["codedeploy:CreateApplication"] = gone
    with pytest.raises(RefusedError, match=r"No application found for name: a \(Service: CodeDeploy, Status Code: 400"):
        _rows(daemon)["AWS::CodeDeploy::Application"]["create"]("A", {"ComputePlatform": "Lambda"}, "s")


def test_properties_that_there_are_not_are_refused() -> None:
    create = _rows(Daemon())["AWS::CodeDeploy::DeploymentGroup"]["create"]
    with pytest.raises(ResourceFailedError, match="required key \\[ApplicationName\\] not found"):
        create("G", {"ServiceRoleArn": "r"}, "s")
    with pytest.raises(ResourceFailedError, match="extraneous key \\[Nonsense\\] is not permitted"):
        create("G", {"ApplicationName": "a", "ServiceRoleArn": "r", "Nonsense": 1}, "s")
