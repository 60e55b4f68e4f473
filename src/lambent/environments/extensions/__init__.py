"""What runs beside the runtime: extensions, and the telemetry that is sent to them.

Owns: who registered and what each is doing, subscriptions and what waits to be delivered (memory, scope environment).
Does: the Extensions, Telemetry and Logs API. Never: starts a process itself or knows how the sandbox is made.
"""

from lambent.environments.extensions.files import external_extensions
from lambent.environments.extensions.host import ExtensionHost, HostParts
from lambent.environments.extensions.shutdown import end_processes
from lambent.environments.extensions.telemetry import Telemetry

__all__ = ["ExtensionHost", "HostParts", "Telemetry", "end_processes", "external_extensions"]
