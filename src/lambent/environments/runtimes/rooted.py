"""Plans for what runs in a root of its own: functions made from images, and runtimes installed as roots."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lambent.environments.runtimes.plan import RuntimePlan
from lambent.environments.sandbox.sandbox import RuntimeFamily, SandboxKind, SandboxRoot
from lambent.model.function import ImageConfig

if TYPE_CHECKING:
    from collections.abc import Mapping

    from lambent.model.function import FunctionVersion
    from lambent.model.image import ImageRoot, RuntimeRoot

_HANDLER = "{handler}"
# What a program that is looked for finds where its image says nothing. Source: Docker's default.
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


def image_plan(version: FunctionVersion, root: ImageRoot) -> RuntimePlan:
    """Return how an image's function is started: as the image says, but for what ImageConfig overrides.

    Source: developer guide, "Container image settings".
    """
    config = version.image_config or ImageConfig()
    directory = config.working_directory or root.working_directory or "/"
    command = (*(config.entry_point or root.entry_point), *(config.command or root.command))
    return RuntimePlan(
        kind=SandboxKind(family=RuntimeFamily.EXEC, account_id=version.account_id),
        runtime_version=f"image.{root.digest[:12]}",
        # Nothing to start is told as what cannot be found.
        argv=command or ("",),
        variables={"PATH": _PATH, **root.variables},
        root=_sandbox_root(root, directory),
    )


def runtime_plan(version: FunctionVersion, installed: RuntimeRoot, family: Mapping[str, str]) -> RuntimePlan:
    """Return how a function of a managed runtime is started in that runtime's installed root.

    `family` are the variables that AWS sets for the runtime; what the image itself sets comes before them.
    """
    root = installed.root
    handler = version.handler or ""
    return RuntimePlan(
        kind=SandboxKind(family=RuntimeFamily.EXEC, account_id=version.account_id),
        runtime_version=f"{installed.runtime.replace('.', ':', 1)}.{root.digest[:12]}",
        argv=tuple(handler if part == _HANDLER else part for part in installed.argv),
        variables={**family, **root.variables},
        root=_sandbox_root(root, "/var/task"),
    )


def _sandbox_root(root: ImageRoot, directory: str) -> SandboxRoot:
    # A relative one is seen from the root, as everywhere.
    absolute = directory if directory.startswith("/") else f"/{directory}"
    return SandboxRoot(layers=root.layers, is_merged=root.is_merged, working_directory=absolute)
