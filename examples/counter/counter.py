"""Counts its own invocations in memory and in /tmp: both live as long as the execution environment."""

import os
import uuid

ENVIRONMENT = str(uuid.uuid4())
FILE = "/tmp/count"

count = 0


def handler(event, context):
    """Return both counts; a new environment begins again at 1."""
    global count
    count += 1
    in_file = int(open(FILE).read()) + 1 if os.path.exists(FILE) else 1
    with open(FILE, "w") as file:
        file.write(str(in_file))
    return {"environment": ENVIRONMENT, "count": count, "in_file": in_file}
