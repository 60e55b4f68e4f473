"""All operations of CodeDeploy that are about Lambda in one object: method = operation in snake case."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.triggers.deployments.control.applications import Applications
from lambent.triggers.deployments.control.configs import DeploymentConfigs
from lambent.triggers.deployments.control.deployments import Deployments
from lambent.triggers.deployments.control.groups import DeploymentGroups

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.clock import Clock
    from lambent.store import Resources


class CodeDeployOperations:
    """Each `async def operation(caller, request) -> members`, by AWS's names. Scope: cluster; keeps no state."""

    def __init__(self, resources: Resources, clock: Clock, random_bytes: Callable[[int], bytes]) -> None:
        applications = Applications(resources, clock, random_bytes)
        self.create_application = applications.create_application
        self.get_application = applications.get_application
        self.batch_get_applications = applications.batch_get_applications
        self.list_applications = applications.list_applications
        self.update_application = applications.update_application
        self.delete_application = applications.delete_application
        self.list_tags_for_resource = applications.list_tags_for_resource
        self.tag_resource = applications.tag_resource
        self.untag_resource = applications.untag_resource
        configs = DeploymentConfigs(resources, clock, random_bytes)
        self.create_deployment_config = configs.create_deployment_config
        self.get_deployment_config = configs.get_deployment_config
        self.list_deployment_configs = configs.list_deployment_configs
        self.delete_deployment_config = configs.delete_deployment_config
        groups = DeploymentGroups(resources, configs, random_bytes)
        self.create_deployment_group = groups.create_deployment_group
        self.get_deployment_group = groups.get_deployment_group
        self.batch_get_deployment_groups = groups.batch_get_deployment_groups
        self.list_deployment_groups = groups.list_deployment_groups
        self.update_deployment_group = groups.update_deployment_group
        self.delete_deployment_group = groups.delete_deployment_group
        deployments = Deployments(resources, configs, clock, random_bytes)
        self.create_deployment = deployments.create_deployment
        self.get_deployment = deployments.get_deployment
        self.batch_get_deployments = deployments.batch_get_deployments
        self.list_deployments = deployments.list_deployments
        self.stop_deployment = deployments.stop_deployment
        self.continue_deployment = deployments.continue_deployment
        self.put_lifecycle_event_hook_execution_status = deployments.put_lifecycle_event_hook_execution_status
        self.list_deployment_targets = deployments.list_deployment_targets
        self.get_deployment_target = deployments.get_deployment_target
        self.batch_get_deployment_targets = deployments.batch_get_deployment_targets
