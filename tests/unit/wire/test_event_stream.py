"""What is encoded is what AWS's own client decodes."""

from __future__ import annotations

from binascii import crc32
from struct import unpack

import pytest
from botocore.eventstream import EventStreamBuffer
from hypothesis import given
from hypothesis import strategies as st

from lambent.wire.event_stream import PAYLOAD_BYTES_MAX, EventForm


@given(st.lists(st.binary(max_size=3_000), max_size=5), st.integers(1, 997))
def test_any_payloads_in_any_pieces(payloads: list[bytes], piece_bytes: int) -> None:
    form = EventForm("PayloadChunk", "application/octet-stream")
    sent = b"".join(form.encode(payload) for payload in payloads)
    buffer = EventStreamBuffer()
    found = []
    for start in range(0, len(sent), piece_bytes):
        buffer.add_data(sent[start : start + piece_bytes])
        found += [(message.headers, message.payload) for message in buffer]
    headers = {
        ":event-type": "PayloadChunk",
        ":content-type": "application/octet-stream",
        ":message-type": "event",
    }
    assert found == [(headers, payload) for payload in payloads]


def test_the_frame() -> None:
    message = EventForm("A", "b/c").encode(b"xyz")
    length, headers_length, prelude_crc = unpack(">III", message[:12])
    assert (length, headers_length) == (len(message), len(message) - 16 - 3)
    assert prelude_crc == crc32(message[:8])
    assert unpack(">I", message[-4:])[0] == crc32(message[:-4])


def test_a_message_has_a_bound() -> None:
    with pytest.raises(AssertionError):
        EventForm("A", "b/c").encode(bytes(PAYLOAD_BYTES_MAX + 1))
