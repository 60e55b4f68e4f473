"""Where processes are kept in: one contract (`sandbox.py`), its drivers, and the launcher that alone keeps root.

Owns: processes, mounts, cgroups, links and images of every sandbox. Does: create, specialise, freeze, reset, end.
Never: knows a function's configuration, speaks HTTP, or reads what passes through the sockets it hands out.
"""

from lambent.environments.sandbox.launch import Launcher, LauncherOptions, start_launcher
from lambent.environments.sandbox.namespaces import NamespaceDriver
from lambent.environments.sandbox.process import ProcessDriver
from lambent.environments.sandbox.rights import drop_rights

__all__ = ["Launcher", "LauncherOptions", "NamespaceDriver", "ProcessDriver", "drop_rights", "start_launcher"]
