"""Sample events of queues and topics: SQS, SNS, Kafka, Amazon MQ."""

from __future__ import annotations

import hashlib

from lambent.cli.samples.sample import MONTHS, Document, Given, Sample, encoded


def sqs(given: Given) -> Document:
    """Return a batch of one message of a standard queue."""
    return {"Records": [_sqs_record(given, given["queue"], {})]}


def sqs_fifo(given: Given) -> Document:
    """Return a batch of one message of a FIFO queue."""
    group: Document = {
        "SequenceNumber": given.digits("sequence", 20),
        "MessageGroupId": given["group"],
        "MessageDeduplicationId": hashlib.sha256(given["body"].encode()).hexdigest(),
    }
    return {"Records": [_sqs_record(given, given["queue"], group)]}


def _sqs_record(given: Given, queue: str, more: Document) -> Document:
    # Source: developer guide, "Example Amazon SQS event"; members as our own poller gives them.
    sent = str(given.at_ms)
    attributes = {
        "ApproximateReceiveCount": "1",
        "SentTimestamp": sent,
        **more,
        "SenderId": given.account_id,
        "ApproximateFirstReceiveTimestamp": str(given.at_ms + 1),
    }
    return {
        "messageId": given.identifier("message"),
        "receiptHandle": encoded(given.hexadecimal("receipt", 48)),
        "body": given["body"],
        "attributes": attributes,
        "messageAttributes": {},
        "md5OfMessageAttributes": None,
        "md5OfBody": hashlib.md5(given["body"].encode(), usedforsecurity=False).hexdigest(),
        "eventSource": "aws:sqs",
        "eventSourceARN": given.arn("sqs", queue),
        "awsRegion": given.region,
    }


def sns(given: Given) -> Document:
    """Return a notification of a topic."""
    # Source: developer guide, "Invoking Lambda functions with Amazon SNS notifications".
    topic = given.arn("sns", given["topic"])
    address = f"https://sns.{given.region}.amazonaws.com/"
    subscription = f"{topic}:{given.identifier('subscription')}"
    notification: Document = {
        "Type": "Notification",
        "MessageId": given.identifier("message"),
        "TopicArn": topic,
        "Subject": given["subject"],
        "Message": given["message"],
        "Timestamp": given.iso(),
        "SignatureVersion": "1",
        "Signature": encoded(given.hexadecimal("signature", 64)),
        "SigningCertUrl": f"{address}SimpleNotificationService-{given.hexadecimal('certificate', 32)}.pem",
        "UnsubscribeUrl": f"{address}?Action=Unsubscribe&SubscriptionArn={subscription}",
        "MessageAttributes": {
            "Test": {"Type": "String", "Value": "TestString"},
            "TestBinary": {"Type": "Binary", "Value": encoded("TestBinary")},
        },
    }
    record: Document = {
        "EventSource": "aws:sns",
        "EventVersion": "1.0",
        "EventSubscriptionArn": subscription,
        "Sns": notification,
    }
    return {"Records": [record]}


def _kafka_records(given: Given) -> Document:
    # Source: developer guide, "Using Lambda with Amazon MSK" and "with self-managed Apache Kafka".
    record = {
        "topic": given["topic"],
        "partition": given.number("partition"),
        "offset": given.number("offset"),
        "timestamp": given.at_ms,
        "timestampType": "CREATE_TIME",
        "key": encoded(given["key"]),
        "value": encoded(given["value"]),
        "headers": [{"headerKey": list(b"headerValue")}],
    }
    return {f"{given['topic']}-{given.number('partition')}": [record]}


def msk(given: Given) -> Document:
    """Return a batch of one record of a topic of Amazon MSK."""
    name = given["cluster"]
    return {
        "eventSource": "aws:kafka",
        "eventSourceArn": given.arn("kafka", f"cluster/{name}/{given.identifier('cluster')}-1"),
        "bootstrapServers": ",".join(
            f"b-{number}.{name}.example.c1.kafka.{given.region}.amazonaws.com:9092" for number in (1, 2)
        ),
        "records": _kafka_records(given),
    }


def kafka(given: Given) -> Document:
    """Return a batch of one record of a topic of a cluster of one's own."""
    return {
        "eventSource": "SelfManagedKafka",
        "bootstrapServers": given["servers"],
        "records": _kafka_records(given),
    }


def rabbit_mq(given: Given) -> Document:
    """Return a batch of one message of a queue of RabbitMQ."""
    # Source: developer guide, "Using Lambda with Amazon MQ", RabbitMQ record event.
    properties: Document = {
        "contentType": "text/plain",
        "contentEncoding": None,
        "headers": {"header1": {"bytes": list(b"value1")}, "numberInHeader": 10},
        "deliveryMode": 1,
        "priority": 34,
        "correlationId": None,
        "replyTo": None,
        "expiration": "60000",
        "messageId": None,
        # Source: the same page: a text and no number.
        "timestamp": _moment_text(given),
        "type": None,
        "userId": "AIDACKCEVSQ6C2EXAMPLE",
        "appId": None,
        "clusterId": None,
        "bodySize": len(given["data"].encode()),
    }
    message = {"basicProperties": properties, "redelivered": False, "data": encoded(given["data"])}
    return {
        "eventSource": "aws:rmq",
        "eventSourceArn": given.arn("mq", f"broker:{given['broker']}:b-{given.identifier('broker')}"),
        "rmqMessagesByQueue": {f"{given['queue']}::{given['host']}": [message]},
    }


def _moment_text(given: Given) -> str:
    moment = given.moment
    half = "AM" if moment.hour < 12 else "PM"
    return f"{MONTHS[moment.month - 1]} {moment.day}, {moment.year}, {moment:%I:%M:%S} {half}"


def active_mq(given: Given) -> Document:
    """Return a batch of one message of a queue of ActiveMQ."""
    # Source: developer guide, "Using Lambda with Amazon MQ", ActiveMQ record event.
    host = f"b-{given.identifier('broker')}-1.mq.{given.region}.amazonaws.com"
    message: Document = {
        "messageID": f"ID:{host}-37557-1234520418293-4:1:1:1:1",
        "messageType": "jms/text-message",
        "deliveryMode": 1,
        "replyTo": None,
        "type": None,
        "expiration": "60000",
        "priority": 1,
        "correlationId": "myJMSCoID",
        "redelivered": False,
        "destination": {"physicalName": given["queue"]},
        "data": encoded(given["data"]),
        "timestamp": given.at_ms,
        "brokerInTime": given.at_ms + 1,
        "brokerOutTime": given.at_ms + 2,
        "properties": {"index": "1", "doAlarm": "false", "myCustomProperty": "value"},
    }
    return {
        "eventSource": "aws:mq",
        "eventSourceArn": given.arn("mq", f"broker:{given['broker']}:b-{given.identifier('broker')}"),
        "messages": [message],
    }


_TOPIC = {"topic": "my-topic", "partition": "0", "offset": "15", "key": "my-key", "value": "Hello from Kafka"}
_SERVERS = {**_TOPIC, "servers": "broker-1.example.com:9092,broker-2.example.com:9092"}

SAMPLES = (
    Sample("sqs", "Amazon SQS: a standard queue", {"queue": "my-queue", "body": "Hello from SQS!"}, sqs),
    Sample(
        "sqs-fifo",
        "Amazon SQS: a FIFO queue",
        {"queue": "my-queue.fifo", "body": "Hello from SQS!", "group": "my-group"},
        sqs_fifo,
    ),
    Sample(
        "sns",
        "Amazon SNS: a notification",
        {"topic": "my-topic", "subject": "TestInvoke", "message": "Hello from SNS!"},
        sns,
    ),
    Sample("msk", "Amazon MSK: a topic", {**_TOPIC, "cluster": "my-cluster"}, msk),
    Sample("kafka", "self-managed Apache Kafka: a topic", _SERVERS, kafka),
    Sample(
        "rabbitmq",
        "Amazon MQ for RabbitMQ: a queue",
        {"broker": "my-broker", "queue": "my-queue", "host": "/", "data": "Hello from RabbitMQ"},
        rabbit_mq,
    ),
    Sample(
        "activemq",
        "Amazon MQ for ActiveMQ: a queue",
        {"broker": "my-broker", "queue": "my-queue", "data": "Hello from ActiveMQ"},
        active_mq,
    ),
)
