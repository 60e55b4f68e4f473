"""What other rooms need of this process's environment; given by settings.py, which alone reads it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, slots=True)
class MachineEnvironment:
    """What other rooms need of this process's environment; no setting. Empty text: the variable is not set.

    `tool_roots` are variables that say where version tools keep interpreters (PYENV_ROOT, NVM_DIR …), as set.
    """

    home: str = ""
    path: str = ""
    data_home: str = ""
    time_zone: str = ""
    tool_roots: Mapping[str, str] = field(default_factory=dict)


def machine_environment(variables: Mapping[str, str]) -> MachineEnvironment:
    """Return the part of an environment that other rooms need."""
    names = (
        "PYENV_ROOT",
        "NVM_DIR",
        "ASDF_DATA_DIR",
        "MISE_DATA_DIR",
        "UV_PYTHON_INSTALL_DIR",
        "JAVA_HOME",
        "SDKMAN_DIR",
        "JABBA_HOME",
        "DOTNET_ROOT",
        "NUGET_PACKAGES",
        "RBENV_ROOT",
        "rvm_path",
    )
    return MachineEnvironment(
        home=variables.get("HOME", ""),
        path=variables.get("PATH", ""),
        data_home=variables.get("XDG_DATA_HOME", ""),
        time_zone=variables.get("TZ", ""),
        tool_roots={name: variables[name] for name in names if variables.get(name)},
    )
