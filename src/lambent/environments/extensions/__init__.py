"""What runs beside the runtime: extensions, and the telemetry that is sent to them.

Owns: who registered and what each is doing, subscriptions and what waits to be delivered (memory, scope environment).
Does: the Extensions, Telemetry and Logs API. Never: knows how a sandbox is made. Names nothing here, because most
environments have no extension and the host (`host.py`) is imported by the first one that has.
"""
