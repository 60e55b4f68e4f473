"""Sample events of EventBridge and of what watches: rules, schedules, logs, alarms, Config."""

from __future__ import annotations

import base64
import gzip
import json

from lambent.cli.samples.sample import Document, Given, Sample, SampleError


def _rule_event(given: Given, source: str, detail_type: str, resources: list[str], detail: object) -> Document:
    # Source: EventBridge user guide, "Events in Amazon EventBridge".
    return {
        "version": "0",
        "id": given.identifier("event"),
        "detail-type": detail_type,
        "source": source,
        "account": given.account_id,
        "time": given.iso_seconds(),
        "region": given.region,
        "resources": resources,
        "detail": detail,
    }


def event_bridge(given: Given) -> Document:
    """Return an event of a bus."""
    try:
        detail = json.loads(given["detail"])
    except ValueError:
        raise SampleError("detail is a JSON object.") from None
    return _rule_event(given, given["source"], given["detail-type"], [], detail)


def instance_state(given: Given) -> Document:
    """Return what EC2 says when an instance changes its state."""
    resource = given.arn("ec2", f"instance/{given['instance']}")
    detail = {"instance-id": given["instance"], "state": given["state"]}
    return _rule_event(given, "aws.ec2", "EC2 Instance State-change Notification", [resource], detail)


def schedule(given: Given) -> Document:
    """Return the event of a rule with a schedule."""
    return _rule_event(given, "aws.events", "Scheduled Event", [given.arn("events", f"rule/{given['rule']}")], {})


def scheduler(given: Given) -> Document:
    """Return the event of a schedule without an input of its own."""
    # Source: observed; its detail is a text.
    resource = given.arn("scheduler", f"schedule/{given['group']}/{given['schedule']}")
    return _rule_event(given, "aws.scheduler", "Scheduled Event", [resource], "{}")


def s3_rule(given: Given) -> Document:
    """Return what S3 tells EventBridge of an object."""
    # Source: S3 user guide, "EventBridge event message structure".
    detail = {
        "version": "0",
        "bucket": {"name": given["bucket"]},
        "object": {
            "key": given["key"],
            "size": given.number("size"),
            "etag": given.hexadecimal("etag", 32),
            "version-id": given.hexadecimal("version", 32),
            "sequencer": f"0{given.at_ms:017X}",
        },
        "request-id": given.hexadecimal("request", 16).upper(),
        "requester": given.account_id,
        "source-ip-address": "192.0.2.1",
        "reason": "PutObject",
    }
    bucket = given.global_arn("s3", given["bucket"], is_owned=False)
    return _rule_event(given, "aws.s3", "Object Created", [bucket], detail)


def logs(given: Given) -> Document:
    """Return what a subscription of CloudWatch Logs delivers: JSON, compressed, in base64."""
    # Source: CloudWatch Logs user guide, "Subscription filters with Lambda".
    line = {"id": given.digits("line", 56), "timestamp": given.at_ms, "message": given["message"]}
    content = {
        "messageType": "DATA_MESSAGE",
        "owner": given.account_id,
        "logGroup": given["group"],
        "logStream": given["stream"],
        "subscriptionFilters": [given["filter"]],
        "logEvents": [line],
    }
    packed = gzip.compress(json.dumps(content, separators=(",", ":")).encode(), mtime=0)
    return {"awslogs": {"data": base64.b64encode(packed).decode()}}


def alarm(given: Given) -> Document:
    """Return what an alarm of CloudWatch sends to the function that is its action."""
    # Source: CloudWatch user guide, "Invoke a Lambda function from an alarm".
    reason = "Threshold Crossed: 1 datapoint [10.0] was greater than the threshold (5.0)."
    state = {"value": given["state"], "reason": reason, "timestamp": given.moment.isoformat(timespec="milliseconds")}
    metric = {"namespace": "AWS/Lambda", "name": "Errors", "dimensions": {"FunctionName": "my-function"}}
    data = {
        "alarmName": given["alarm"],
        "state": state,
        "previousState": {**state, "value": "OK", "reason": "Threshold was not crossed."},
        "configuration": {
            "description": "A sample alarm",
            "metrics": [
                {
                    "id": given.identifier("metric"),
                    "metricStat": {"metric": metric, "period": 60, "stat": "Sum"},
                    "returnData": True,
                }
            ],
        },
    }
    return {
        "source": "aws.cloudwatch",
        "alarmArn": given.arn("cloudwatch", f"alarm:{given['alarm']}"),
        "accountId": given.account_id,
        "time": given.moment.isoformat(timespec="milliseconds"),
        "region": given.region,
        "alarmData": data,
    }


def config(given: Given) -> Document:
    """Return what a custom rule of AWS Config sends when a resource changed."""
    # Source: AWS Config developer guide, "Example events for AWS Config rules".
    item = {
        "configurationItemCaptureTime": given.iso(),
        "awsAccountId": given.account_id,
        "configurationItemStatus": "OK",
        "resourceId": given["instance"],
        "resourceType": "AWS::EC2::Instance",
        "ARN": given.arn("ec2", f"instance/{given['instance']}"),
        "awsRegion": given.region,
        "availabilityZone": f"{given.region}a",
        "configurationStateMd5Hash": given.hexadecimal("state", 32),
        "resourceCreationTime": given.iso(),
        "relatedEvents": [],
        "relationships": [],
        "tags": {"Foo": "Bar"},
        "configuration": {"instanceId": given["instance"]},
    }
    invoking = {
        "configurationItem": item,
        "messageType": "ConfigurationItemChangeNotification",
        "notificationCreationTime": given.iso(),
        "recordVersion": "1.3",
    }
    return {
        "version": "1.0",
        "invokingEvent": json.dumps(invoking),
        "ruleParameters": json.dumps({"myParameterKey": "myParameterValue"}),
        "resultToken": "myResultToken",
        "eventLeftScope": False,
        "executionRoleArn": given.global_arn("iam", "role/config-role"),
        "configRuleArn": given.arn("config", f"config-rule/config-rule-{given.hexadecimal('rule', 6)}"),
        "configRuleName": given["rule"],
        "configRuleId": f"config-rule-{given.hexadecimal('rule', 6)}",
        "accountId": given.account_id,
    }


_LINES = {
    "group": "/aws/lambda/my-function",
    "stream": "my-stream",
    "filter": "my-filter",
    "message": "[ERROR] First test message",
}
_INSTANCE = "i-0123456789abcdef0"

SAMPLES = (
    Sample(
        "eventbridge",
        "Amazon EventBridge: an event of a bus",
        {"source": "com.example.orders", "detail-type": "OrderPlaced", "detail": '{"order": 1}'},
        event_bridge,
    ),
    Sample(
        "eventbridge-ec2",
        "Amazon EventBridge: an instance of EC2 changed its state",
        {"instance": _INSTANCE, "state": "running"},
        instance_state,
    ),
    Sample(
        "eventbridge-s3",
        "Amazon EventBridge: an object was put into S3",
        {"bucket": "example-bucket", "key": "folder/file.txt", "size": "1024"},
        s3_rule,
    ),
    Sample("schedule", "Amazon EventBridge: a rule with a schedule", {"rule": "my-schedule"}, schedule),
    Sample(
        "scheduler",
        "Amazon EventBridge Scheduler, a schedule without input",
        {"group": "default", "schedule": "my-schedule"},
        scheduler,
    ),
    Sample("cloudwatch-logs", "Amazon CloudWatch Logs: a subscription", _LINES, logs),
    Sample("cloudwatch-alarm", "Amazon CloudWatch: an alarm", {"alarm": "my-alarm", "state": "ALARM"}, alarm),
    Sample("config", "AWS Config: a rule of one's own", {"rule": "my-rule", "instance": _INSTANCE}, config),
)
