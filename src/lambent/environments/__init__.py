"""DATA PLANE. Where customer code lives: environments from Init to Shutdown, and the door from inside.

Owns: environments and their idle list (memory, scope node). Does: prewarm, specialise, serve the Runtime API, freeze,
reap, report. Never: runs customer code in this process, speaks to callers, imports an observer or the control plane.
"""

from lambent.environments.environment import EnvironmentRules
from lambent.environments.factory import EnvironmentFactory, FactoryParts
from lambent.environments.package_facts import PackageFacts
from lambent.environments.pool import EnvironmentPool, PoolRules
from lambent.environments.prewarm import PrewarmedSandboxes

__all__ = [
    "EnvironmentFactory",
    "EnvironmentPool",
    "EnvironmentRules",
    "FactoryParts",
    "PackageFacts",
    "PoolRules",
    "PrewarmedSandboxes",
]
