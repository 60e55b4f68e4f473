"""The form of RabbitMQ's messages in events: properties as AWS's poller, which is written in Java, shows them."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from lambent.events.sources.source import SourceRecord

if TYPE_CHECKING:
    from aiormq.abc import DeliveredMessage

# AWS's name → the library's. Source: developer guide, "Example Amazon MQ record events", RabbitMQ.
_PROPERTIES = {
    "contentType": "content_type",
    "contentEncoding": "content_encoding",
    "headers": "headers",
    "deliveryMode": "delivery_mode",
    "priority": "priority",
    "correlationId": "correlation_id",
    "replyTo": "reply_to",
    "expiration": "expiration",
    "messageId": "message_id",
    "timestamp": "timestamp",
    "type": "message_type",
    "userId": "user_id",
    "appId": "app_id",
    "clusterId": "cluster_id",
}


def rabbitmq_record(message: DeliveredMessage) -> SourceRecord:
    """Return a delivered message as a record; its receipt is the delivery's tag."""
    properties = message.header.properties
    shown: dict[str, Any] = {}
    for name, attribute in _PROPERTIES.items():
        value = getattr(properties, attribute, None)
        if name == "headers":
            shown[name] = None if value is None else {key: header_value(one) for key, one in value.items()}
        else:
            shown[name] = date_text(value) if isinstance(value, datetime) else value
    # It is of no use any more, and the library reads an empty text where there is none.
    shown["clusterId"] = shown["clusterId"] or None
    shown["bodySize"] = len(message.body)
    document = {
        "basicProperties": shown,
        "redelivered": bool(message.redelivered),
        "data": base64.b64encode(message.body).decode(),
    }
    view = {**document, "data": _text(message.body)}
    size_bytes = len(json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode())
    tag = str(message.delivery_tag)
    return SourceRecord(document, view, tag, size_bytes, tag)


def header_value(value: object) -> object:
    """Return the value of a header as JSON has it: texts are long strings, which are shown by their bytes.

    Source: developer guide, the same example: `{"bytes": [118, 97, …]}`; Java's bytes have a sign.
    """
    if isinstance(value, str | bytes | bytearray):
        data = value.encode() if isinstance(value, str) else bytes(value)
        return {"bytes": [byte - 256 if byte > 127 else byte for byte in data]}
    if isinstance(value, dict):
        return {str(key): header_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [header_value(one) for one in value]
    if isinstance(value, datetime):
        return date_text(value)
    if isinstance(value, Decimal):
        return float(value)
    if value is None or isinstance(value, bool | int | float):
        return value
    return str(value)


def date_text(moment: datetime) -> str:
    """Return a moment as the example shows it: Jan 1, 1970, 12:33:41 AM, in UTC."""
    moment = moment.astimezone(UTC) if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
    hour = moment.hour % 12 or 12
    return f"{moment:%b} {moment.day}, {moment.year}, {hour}:{moment:%M:%S} {'AM' if moment.hour < 12 else 'PM'}"


def _text(data: bytes) -> str | None:
    try:
        return data.decode()
    except ValueError:
        return None
