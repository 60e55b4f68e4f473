"""Go's gob encoding and net/rpc, as far as old Go programs need it: the bytes of Go's documentation, and a server's."""

from __future__ import annotations

import importlib.util
import socket
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

_CLIENT = Path(__file__).parents[2] / "src/lambent/environments/runtimes/clients/python/lambent_go_gob.py"


def _load() -> Any:
    specification = importlib.util.spec_from_file_location("lambent_go_gob", _CLIENT)
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


_GOB = _load()


@pytest.mark.parametrize(
    ("number", "encoded"),
    [(0, "00"), (7, "07"), (127, "7f"), (128, "ff80"), (256, "fe0100"), (2**32, "fb0100000000")],
)
def test_unsigned_numbers(number: int, encoded: str) -> None:
    """Source: Go's documentation of encoding/gob, "Encoding Details"."""
    assert _GOB._encode_unsigned(number).hex() == encoded
    assert _GOB._unsigned(bytes.fromhex(encoded), 0) == (number, len(encoded) // 2)


@pytest.mark.parametrize(("number", "encoded"), [(0, "00"), (7, "0e"), (-1, "01"), (-129, "fe0101"), (-65, "ff81")])
def test_signed_numbers(number: int, encoded: str) -> None:
    """The lowest bit tells whether the others are complemented."""
    assert _GOB._encode_signed(number).hex() == encoded
    assert _GOB._signed(bytes.fromhex(encoded), 0) == (number, len(encoded) // 2)


def test_a_struct_as_in_go_s_documentation() -> None:
    """`type Point struct{ X, Y int }` with the value {22, 33} is 07 ff 82 01 2c 01 42 00 after its definition."""
    point = _GOB._Struct("Point", (("X", "int"), ("Y", "int")))
    definition = "1fff8103010105506f696e7401ff8200010201015801040001015901040000" + "00"
    encoder = _GOB.Encoder()
    assert encoder.message(point, {"X": 22, "Y": 33}).hex() == definition + "07ff82012c014200"
    assert encoder.message(point, {"X": 22, "Y": 33}).hex() == "07ff82012c014200", "a type is defined once"


_REQUESTS = st.fixed_dictionaries(
    {},
    optional={
        "Payload": st.binary(min_size=1, max_size=400),
        "RequestId": st.text(min_size=1, max_size=200),
        "Deadline": st.fixed_dictionaries({"Seconds": st.integers(1, 2**40), "Nanos": st.integers(1, 10**9)}),
        "ClientContext": st.binary(min_size=1),
    },
)


@given(_REQUESTS)
def test_what_is_encoded_is_decoded(request: dict[str, Any]) -> None:
    """Fields with Go's zero value are left out on both sides."""
    encoder = _GOB.Encoder()
    encoder.message(_GOB._INVOKE_REQUEST, {})
    message = encoder.message(_GOB._INVOKE_REQUEST, request)
    size, at = _GOB._unsigned(message, 0)
    assert size == len(message) - at
    _, at = _GOB._signed(message, at)
    assert _GOB.decode(message[at:], _GOB._INVOKE_REQUEST) == request


def _serve(connection: socket.socket, answers: list[tuple[dict[str, Any], bytes]]) -> None:
    encoder = _GOB.Encoder()
    for head, body in answers:
        connection.recv(65_536)
        # The type's number is the server's own affair; definitions come between messages.
        value = _GOB._encode_signed(90) + body
        data = encoder.message(_GOB._ANSWER, head) + _GOB._framed(_GOB._encode_signed(-90)) + _GOB._framed(value)
        # In two pieces, so that a message is not always whole when it is read.
        connection.sendall(data[:5])
        connection.sendall(data[5:])
    connection.close()


def test_calls() -> None:
    """An answer, an error of the function with its frames, an error of the call itself, and the server's end."""
    frame = {"Path": "main.go", "Line": 7, "Label": "main"}
    encoded = _GOB._encode_struct(_GOB._FRAME, frame)
    failed = b"\x01\x01m" + b"\x01\x01t" + b"\x01\x02" + encoded + encoded + b"\x01\x01" + b"\x00"
    answers = [
        (
            {"ServiceMethod": "Function.Invoke", "Seq": 1},
            _GOB._encode_struct(_GOB._INVOKE_RESPONSE, {"Payload": b"{}" * 300}),
        ),
        ({"ServiceMethod": "Function.Invoke", "Seq": 2}, b"\x02" + failed + b"\x00"),
        ({"Seq": 3, "Error": "rpc: can't find service"}, b"\x00"),
    ]
    ours, theirs = socket.socketpair()
    ours.settimeout(20)
    server = threading.Thread(target=_serve, args=(theirs, answers))
    server.start()
    calls = _GOB.Calls(ours)
    assert calls.call("Function.Invoke", {"Payload": b"1"}) == {"Payload": b"{}" * 300}
    error = {"Message": "m", "Type": "t", "StackTrace": [frame, frame], "ShouldExit": True}
    assert calls.call("Function.Invoke", {"Payload": b"2"}) == {"Error": error}
    said = calls.call("No.Such", {"Payload": b"3"})
    assert said == {"Error": {"Message": "rpc: can't find service", "Type": "errorString"}}
    server.join()
    with pytest.raises((EOFError, OSError)):
        calls.call("Function.Invoke", {"Payload": b"4"})
    ours.close()
