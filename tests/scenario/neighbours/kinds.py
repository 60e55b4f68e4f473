"""Resources of every kind that a function's surroundings are made of: how one is made, and how all are listed."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable

_ROLE = "arn:aws:iam::000000000000:role/made"
TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "lambda.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ],
    }
)
_ALLOW = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
)
_STATES = json.dumps({"StartAt": "A", "States": {"A": {"Type": "Pass", "End": True}}})
_TEMPLATE = json.dumps({"Resources": {"Q": {"Type": "AWS::SQS::Queue", "Properties": {"QueueName": "of-a-stack"}}}})
_TABLE = {
    "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
    "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
    "BillingMode": "PAY_PER_REQUEST",
}
_ALARM = {
    "Namespace": "N", "MetricName": "M", "ComparisonOperator": "GreaterThanThreshold", "EvaluationPeriods": 1,
    "Period": 60, "Statistic": "Sum", "Threshold": 1.0,
}  # fmt: skip
_TOPIC = "arn:aws:sns:us-east-1:000000000000:made-topic"
_WINDOW = {"Mode": "OFF"}
_TARGET = {"Arn": "arn:aws:sqs:us-east-1:000000000000:made", "RoleArn": _ROLE}

# Kind: service, how one is made, how all are named.
KINDS: dict[str, tuple[str, Callable[[Any], Any], Callable[[Any], list[Any]]]] = {
    "bucket": (
        "s3", lambda c: c.create_bucket(Bucket="made-bucket"),
        lambda c: [one["Name"] for one in c.list_buckets()["Buckets"]],
    ),
    "queue": (
        "sqs", lambda c: c.create_queue(QueueName="made", Attributes={"VisibilityTimeout": "7"}),
        lambda c: [c.get_queue_attributes(QueueUrl=u, AttributeNames=["VisibilityTimeout"])["Attributes"] | {"url": u}
                   for u in sorted(c.list_queues()["QueueUrls"])],
    ),
    "topic": ("sns", lambda c: c.create_topic(Name="made-topic"), lambda c: c.list_topics()["Topics"]),
    "subscription": (
        "sns",
        lambda c: c.subscribe(TopicArn=_TOPIC, Protocol="sqs", Endpoint="arn:aws:sqs:us-east-1:000000000000:made"),
        lambda c: c.list_subscriptions()["Subscriptions"],
    ),
    "table": (
        "dynamodb", lambda c: c.create_table(TableName="made", **_TABLE), lambda c: c.list_tables()["TableNames"]
    ),
    "role": (
        "iam", lambda c: c.create_role(RoleName="made", AssumeRolePolicyDocument=TRUST),
        lambda c: [one["RoleId"] for one in c.list_roles()["Roles"]],
    ),
    "user": ("iam", lambda c: c.create_user(UserName="made"), lambda c: [u["UserId"] for u in c.list_users()["Users"]]),
    "policy": (
        "iam", lambda c: c.create_policy(PolicyName="made", PolicyDocument=_ALLOW),
        lambda c: [one["PolicyId"] for one in c.list_policies(Scope="Local")["Policies"]],
    ),
    "log group": (
        "logs", lambda c: c.create_log_group(logGroupName="/made", tags={"a": "b"}),
        lambda c: [one["logGroupName"] for one in c.describe_log_groups()["logGroups"]],
    ),
    "event bus": (
        "events", lambda c: c.create_event_bus(Name="made"),
        lambda c: sorted(one["Arn"] for one in c.list_event_buses()["EventBuses"]),
    ),
    "rule": (
        "events", lambda c: c.put_rule(Name="made", EventPattern='{"source":["a"]}'),
        lambda c: [(one["Name"], one["EventPattern"]) for one in c.list_rules()["Rules"]],
    ),
    "parameter": (
        "ssm", lambda c: c.put_parameter(Name="/made", Value="v", Type="String"),
        lambda c: [(one["Name"], one["Version"]) for one in c.describe_parameters()["Parameters"]],
    ),
    "secret": (
        "secretsmanager", lambda c: c.create_secret(Name="made", SecretString="hidden"),
        lambda c: [(one["ARN"], c.get_secret_value(SecretId=one["ARN"])["SecretString"])
                   for one in c.list_secrets()["SecretList"]],
    ),
    "key": (
        "kms", lambda c: c.create_key(Description="made"),
        lambda c: [c.describe_key(KeyId=one["KeyId"])["KeyMetadata"]["Description"] for one in c.list_keys()["Keys"]],
    ),
    "stream": (
        "kinesis", lambda c: c.create_stream(StreamName="made", ShardCount=1), lambda c: c.list_streams()["StreamNames"]
    ),
    "delivery stream": (
        "firehose",
        lambda c: c.create_delivery_stream(
            DeliveryStreamName="made",
            S3DestinationConfiguration={"RoleARN": _ROLE, "BucketARN": "arn:aws:s3:::made-bucket"},
        ),
        lambda c: c.list_delivery_streams()["DeliveryStreamNames"],
    ),
    "state machine": (
        "stepfunctions", lambda c: c.create_state_machine(name="made", definition=_STATES, roleArn=_ROLE),
        lambda c: [one["stateMachineArn"] for one in c.list_state_machines()["stateMachines"]],
    ),
    "alarm": (
        "cloudwatch", lambda c: c.put_metric_alarm(AlarmName="made", **_ALARM),
        lambda c: [(one["AlarmName"], one["Threshold"]) for one in c.describe_alarms()["MetricAlarms"]],
    ),
    "REST API": (
        "apigateway", lambda c: c.create_rest_api(name="made"), lambda c: [i["id"] for i in c.get_rest_apis()["items"]]
    ),
    "HTTP API": (
        "apigatewayv2", lambda c: c.create_api(Name="made", ProtocolType="HTTP"),
        lambda c: [one["ApiId"] for one in c.get_apis()["Items"]],
    ),
    "user pool": (
        "cognito-idp", lambda c: c.create_user_pool(PoolName="made"),
        lambda c: [one["Id"] for one in c.list_user_pools(MaxResults=10)["UserPools"]],
    ),
    "schedule": (
        "scheduler",
        lambda c: c.create_schedule(
            Name="made", ScheduleExpression="rate(1 hour)", FlexibleTimeWindow=_WINDOW, Target=_TARGET
        ),
        lambda c: [one["Arn"] for one in c.list_schedules()["Schedules"]],
    ),
    "stack": (
        "cloudformation", lambda c: c.create_stack(StackName="made", TemplateBody=_TEMPLATE),
        lambda c: [(one["StackName"], one["StackStatus"]) for one in c.describe_stacks()["Stacks"]],
    ),
}  # fmt: skip


def listings(clients: dict[str, Any]) -> dict[str, list[Any]]:
    """Return the listing of every kind."""
    return {kind: listing(clients[service]) for kind, (service, _, listing) in KINDS.items()}
