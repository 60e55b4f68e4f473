"""Notes behind an HTTP API: written with PUT, read with GET, kept in DynamoDB."""

import json
import os

import boto3

table = boto3.resource("dynamodb").Table(os.environ["TABLE"])


def handler(event, context):
    """Answer one of the three routes."""
    route, values = event["routeKey"], event["pathParameters"]
    if route == "GET /hello/{name}":
        return answer(200, {"message": f"{os.environ['GREETING']}, {values['name']}!"})
    if route == "PUT /notes/{id}":
        table.put_item(Item={"id": values["id"], "text": event.get("body") or ""})
        return answer(200, {"id": values["id"]})
    item = table.get_item(Key={"id": values["id"]}).get("Item")
    return answer(200, item) if item else answer(404, {"message": "no such note"})


def answer(status, document):
    """Return a response of JSON."""
    return {"statusCode": status, "headers": {"content-type": "application/json"}, "body": json.dumps(document)}
