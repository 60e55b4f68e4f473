"""Sample events of services that keep something: S3, SES, CodeCommit."""

from __future__ import annotations

import hashlib
from email.utils import format_datetime
from urllib.parse import quote_plus

from lambent.cli.samples.sample import Document, Given, Sample

_OWNER = "A3NL1KOZZKExample"


def _s3(given: Given, name: str, content: Document) -> Document:
    # Source: S3 user guide, "Event message structure"; keys are URL-encoded there.
    identity = {"principalId": _OWNER}
    thing: Document = {"key": quote_plus(given["key"], safe="/"), **content, "sequencer": f"0{given.at_ms:017X}"}
    bucket = {
        "name": given["bucket"],
        "ownerIdentity": identity,
        "arn": given.global_arn("s3", given["bucket"], is_owned=False),
    }
    record: Document = {
        "eventVersion": "2.1",
        "eventSource": "aws:s3",
        "awsRegion": given.region,
        "eventTime": given.iso(),
        "eventName": name,
        "userIdentity": {"principalId": f"AWS:{_OWNER}"},
        "requestParameters": {"sourceIPAddress": "192.0.2.1"},
        "responseElements": {
            "x-amz-request-id": given.hexadecimal("request", 16).upper(),
            "x-amz-id-2": given.hexadecimal("id-2", 64),
        },
        "s3": {"s3SchemaVersion": "1.0", "configurationId": given["configuration"], "bucket": bucket, "object": thing},
    }
    return {"Records": [record]}


def s3_created(given: Given) -> Document:
    """Return the notification of an object that was put."""
    etag = hashlib.md5(given["key"].encode(), usedforsecurity=False).hexdigest()
    return _s3(given, given["event"], {"size": given.number("size"), "eTag": etag})


def s3_removed(given: Given) -> Document:
    """Return the notification of an object that was deleted."""
    return _s3(given, given["event"], {})


def s3_batch(given: Given) -> Document:
    """Return a task of S3 Batch Operations."""
    # Source: S3 user guide, "Invoke AWS Lambda function".
    task = {
        "taskId": given.identifier("task"),
        "s3Key": quote_plus(given["key"], safe="/"),
        "s3VersionId": "1",
        "s3BucketArn": given.global_arn("s3", given["bucket"], is_owned=False),
    }
    return {
        "invocationSchemaVersion": "1.0",
        "invocationId": given.hexadecimal("invocation", 48),
        "job": {"id": given.identifier("job")},
        "tasks": [task],
    }


def ses(given: Given) -> Document:
    """Return a mail that SES received."""
    # Source: SES developer guide, "Contents of notifications" and "Examples for Lambda".
    message_id = given.hexadecimal("message", 40)
    date = format_datetime(given.moment)
    common = {
        "returnPath": given["from"],
        "from": [given["from"]],
        "date": date,
        "to": [given["to"]],
        "messageId": f"<{message_id}@example.com>",
        "subject": given["subject"],
    }
    headers = [
        {"name": "From", "value": given["from"]},
        {"name": "To", "value": given["to"]},
        {"name": "Subject", "value": given["subject"]},
        {"name": "Date", "value": date},
    ]
    mail = {
        "timestamp": given.iso(),
        "source": given["from"],
        "messageId": message_id,
        "destination": [given["to"]],
        "headersTruncated": False,
        "headers": headers,
        "commonHeaders": common,
    }
    verdicts = {f"{name}Verdict": {"status": "PASS"} for name in ("spam", "virus", "spf", "dkim", "dmarc")}
    receipt = {
        "timestamp": given.iso(),
        "processingTimeMillis": 574,
        "recipients": [given["to"]],
        **verdicts,
        "action": {"type": "Lambda", "functionArn": given.function_arn, "invocationType": "Event"},
    }
    record: Document = {
        "eventSource": "aws:ses",
        "eventVersion": "1.0",
        "ses": {"mail": mail, "receipt": receipt},
    }
    return {"Records": [record]}


def code_commit(given: Given) -> Document:
    """Return the notification of a trigger of a CodeCommit repository."""
    # Source: developer guide, "Using AWS Lambda with AWS CodeCommit".
    reference = {"commit": given.hexadecimal("commit", 40), "ref": f"refs/heads/{given['branch']}"}
    record: Document = {
        "awsRegion": given.region,
        "codecommit": {"references": [reference]},
        "customData": given["data"],
        "eventId": given.identifier("event"),
        "eventName": "ReferenceChanges",
        "eventPartNumber": 1,
        "eventSource": "aws:codecommit",
        "eventSourceARN": given.arn("codecommit", given["repository"]),
        "eventTime": given.moment.isoformat(timespec="milliseconds"),
        "eventTotalParts": 1,
        "eventTriggerConfigId": given.identifier("trigger"),
        "eventTriggerName": given["trigger"],
        "eventVersion": "1.0",
        "userIdentityARN": given.global_arn("iam", "root"),
    }
    return {"Records": [record]}


_OBJECT = {"bucket": "example-bucket", "key": "folder/file.txt"}
_MAIL = {"from": "sender@example.com", "to": "recipient@example.com", "subject": "Test subject"}
_REPOSITORY = {"repository": "example", "branch": "main", "trigger": "my-trigger", "data": "this is custom data"}
_CREATED = {**_OBJECT, "size": "1024", "event": "ObjectCreated:Put", "configuration": "example-notification"}
_REMOVED = {**_OBJECT, "event": "ObjectRemoved:Delete", "configuration": "example-notification"}

SAMPLES = (
    Sample("s3", "Amazon S3: an object was put", _CREATED, s3_created),
    Sample("s3-delete", "Amazon S3: an object was deleted", _REMOVED, s3_removed),
    Sample("s3-batch", "Amazon S3 Batch Operations: a task", _OBJECT, s3_batch),
    Sample("ses", "Amazon SES: a mail was received", _MAIL, ses),
    Sample("codecommit", "AWS CodeCommit: a branch changed", _REPOSITORY, code_commit),
)
