"""Sample events of streams: Kinesis, Firehose, DynamoDB, DocumentDB."""

from __future__ import annotations

from datetime import timedelta

from lambent.cli.samples.sample import Document, Given, Sample, encoded

_SHARD = "shardId-000000000000"


def kinesis(given: Given) -> Document:
    """Return a batch of one record of a data stream."""
    # Source: developer guide, "Using Lambda with Kinesis Data Streams"; members as our own poller gives them.
    number = given.digits("sequence", 56)
    record: Document = {
        "kinesis": {
            "kinesisSchemaVersion": "1.0",
            "partitionKey": given["key"],
            "sequenceNumber": number,
            "data": encoded(given["data"]),
            "approximateArrivalTimestamp": given.at_ms / 1_000,
        },
        "eventSource": "aws:kinesis",
        "eventVersion": "1.0",
        "eventID": f"{_SHARD}:{number}",
        "eventName": "aws:kinesis:record",
        "invokeIdentityArn": given.global_arn("iam", "role/lambda-role"),
        "awsRegion": given.region,
        "eventSourceARN": given.arn("kinesis", f"stream/{given['stream']}"),
    }
    return {"Records": [record]}


def kinesis_window(given: Given) -> Document:
    """Return a batch within a tumbling window."""
    # Source: developer guide, "Tumbling windows".
    begin = given.moment.replace(second=0, microsecond=0)
    end = begin + timedelta(minutes=1)
    return kinesis(given) | {
        "window": {"start": f"{begin:%Y-%m-%dT%H:%MZ}", "end": f"{end:%Y-%m-%dT%H:%MZ}"},
        "state": {"count": 0},
        "shardId": _SHARD,
        "eventSourceARN": given.arn("kinesis", f"stream/{given['stream']}"),
        "isFinalInvokeForWindow": False,
        "isWindowTerminatedEarly": False,
    }


def firehose(given: Given) -> Document:
    """Return a batch that Firehose lets a function transform."""
    # Source: Firehose developer guide, "Data transformation".
    record = {
        "recordId": given.digits("record", 56),
        "approximateArrivalTimestamp": given.at_ms,
        "data": encoded(given["data"]),
    }
    return {
        "invocationId": given.identifier("invocation"),
        "deliveryStreamArn": given.arn("firehose", f"deliverystream/{given['stream']}"),
        "region": given.region,
        "records": [record],
    }


def dynamo_db(given: Given) -> Document:
    """Return the stream of an item that was put, changed and deleted."""
    keys = {"Id": {"N": str(given.number("id"))}}
    first: Document = {**keys, "Message": {"S": "New item!"}}
    second: Document = {**keys, "Message": {"S": "This item has changed"}}
    stream = given.arn("dynamodb", f"table/{given['table']}/stream/{given.moment:%Y-%m-%dT%H:%M:%S.000}")
    changes = (
        ("INSERT", {"NewImage": first}),
        ("MODIFY", {"NewImage": second, "OldImage": first}),
        ("REMOVE", {"OldImage": second}),
    )
    records = []
    for number, (name, images) in enumerate(changes):
        # Source: developer guide, "Using Lambda with DynamoDB"; members as our own poller gives them.
        change: Document = {
            "ApproximateCreationDateTime": given.at_seconds,
            "Keys": keys,
            **images,
            "SequenceNumber": str(100_000_000_000_000_000_000 + number),
            "SizeBytes": 26 + 33 * (len(images) - 1),
            "StreamViewType": "NEW_AND_OLD_IMAGES",
        }
        records.append(
            {
                "eventID": given.hexadecimal(f"event-{number}", 32),
                "eventName": name,
                "eventVersion": "1.1",
                "eventSource": "aws:dynamodb",
                "awsRegion": given.region,
                "dynamodb": change,
                "eventSourceARN": stream,
            }
        )
    return {"Records": records}


def document_db(given: Given) -> Document:
    """Return a change event of a collection."""
    # Source: developer guide, "Using Lambda with Amazon DocumentDB".
    identifier = {"$oid": given.hexadecimal("object", 24)}
    event: Document = {
        "_id": {"_data": given.hexadecimal("resume", 36)},
        "clusterTime": {"$timestamp": {"t": given.at_seconds, "i": 9}},
        "documentKey": {"_id": identifier},
        "fullDocument": {"_id": identifier, "anyField": given["value"]},
        "ns": {"db": given["database"], "coll": given["collection"]},
        "operationType": "insert",
    }
    return {
        "eventSourceArn": given.arn("rds", f"cluster:{given['cluster']}"),
        "events": [{"event": event}],
        "eventSource": "aws:docdb",
    }


_STREAM = {"stream": "my-stream", "key": "1", "data": "Hello, this is a test."}
_DELIVERY = {"stream": "my-delivery-stream", "data": "Hello, this is a test."}

SAMPLES = (
    Sample("kinesis", "Amazon Kinesis Data Streams", _STREAM, kinesis),
    Sample("kinesis-window", "Amazon Kinesis Data Streams within a tumbling window", _STREAM, kinesis_window),
    Sample("firehose", "Amazon Data Firehose: records to be transformed", _DELIVERY, firehose),
    Sample("dynamodb", "Amazon DynamoDB Streams: put, changed, deleted", {"table": "my-table", "id": "101"}, dynamo_db),
    Sample(
        "documentdb",
        "Amazon DocumentDB: a change stream",
        {"cluster": "my-cluster", "database": "test_database", "collection": "test_collection", "value": "a value"},
        document_db,
    ),
)
