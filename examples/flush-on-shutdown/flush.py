"""Keeps what it is given in memory and writes it out when the environment is shut down.

Lambent sends SIGTERM to a function's runtime before its environment ends, and waits 500 ms
(`environments.shutdown_grace_ms`). AWS does so only where an extension is registered.
"""

import signal
import sys

pending = []


def flush(signal_number, frame):
    """Write what is left; then end."""
    print(f"flushed {len(pending)}: {', '.join(pending)}")
    sys.exit(0)


signal.signal(signal.SIGTERM, flush)


def handler(event, context):
    """Keep the event for later."""
    pending.append(event["item"])
    return {"pending": len(pending)}
