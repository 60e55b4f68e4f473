"""ActiveMQ's messages in the guide's form."""

from __future__ import annotations

import base64

from lambent.events.sources.brokers.activemq import activemq_record
from lambent.events.sources.brokers.stomp import Frame

HEADERS = {
    "ack": "ID:a",
    "subscription": "lambent",
    "message-id": "ID:b-1:1:1:1:1",
    "destination": "/queue/testQueue",
    "reply-to": "/queue/answers",
    "timestamp": "1598827811958",
    "expires": "1598827871958",
    "priority": "4",
    "persistent": "true",
    "correlation-id": "myJMSCoID",
    "type": "order",
    "redelivered": "true",
    "index": "1",
    "myCustomProperty": "value",
}


def test_a_text_message() -> None:
    record = activemq_record(Frame("MESSAGE", HEADERS, b'{"n": 1}'), 1598827811959)
    assert record.document == {
        "messageID": "ID:b-1:1:1:1:1",
        "messageType": "jms/text-message",
        "deliveryMode": 2,
        "replyTo": "queue://answers",
        "type": "order",
        "expiration": 1598827871958,
        "priority": 4,
        "correlationId": "myJMSCoID",
        "correlationID": "myJMSCoID",
        "connectionId": "myJMSCoID",
        "redelivered": True,
        "destination": {"physicalName": "testQueue"},
        "data": base64.b64encode(b'{"n": 1}').decode(),
        "timestamp": 1598827811958,
        "brokerInTime": 1598827811958,
        "brokerOutTime": 1598827811959,
        "properties": {"index": "1", "myCustomProperty": "value"},
    }
    assert (record.receipt, record.view["data"]) == ("ID:a", '{"n": 1}')


def test_a_bytes_message_has_a_length_and_perhaps_no_text() -> None:
    headers = {"message-id": "ID:1", "destination": "/queue/q", "content-length": "2", "expires": "0"}
    record = activemq_record(Frame("MESSAGE", headers, b"\xff\x00"), 5)
    assert record.document["messageType"] == "jms/bytes-message"
    assert (record.document["deliveryMode"], record.document["properties"]) == (1, {})
    assert (record.document["replyTo"], record.document["type"], record.document["expiration"]) == (None, None, 0)
    assert (record.view["data"], record.receipt) == (None, "ID:1")
