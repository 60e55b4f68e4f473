"""Deployments: CodeDeploy for Lambda, which moves an alias from one version to another, and back.

Owns: applications, groups, configurations, deployments. Does: shift traffic in steps, call hooks, watch alarms, roll
back; all of it goes on after a crash. Never: changes an alias but through the control plane's own operations.
"""

from lambent.triggers.deployments.assembly import DeploymentPlane
from lambent.triggers.deployments.parts import DeploymentParts

__all__ = ["DeploymentParts", "DeploymentPlane"]
