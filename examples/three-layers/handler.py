"""The outermost layer: events in, answers out, nothing else."""

import json

from orders.controller import Controller
from orders.storage import MemoryStorage

controller = Controller(MemoryStorage())


def handler(event, context):
    """Answer an API Gateway style event."""
    method, path = event["httpMethod"], event["path"]
    body = json.loads(event["body"]) if event.get("body") else None
    status, answer = controller.answer(method, path, body)
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(answer)}
