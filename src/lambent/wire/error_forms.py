"""An error in the form that the clients of the asked service read: JSON, XML or CBOR, as its protocol has it.

Source: the service descriptions' protocols (json, rest-json, query, ec2, rest-xml, smithy-rpc-v2-cbor) and what the
SDKs' parsers look for.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Mapping

_QUERY = frozenset(
    {"autoscaling", "cloudformation", "ec2", "elasticache", "elbv2", "iam", "rds", "ses", "sns", "sqs", "sts"}
)
_REST_XML = frozenset({"s3", "cloudfront", "route53"})


class NeighbourError(Exception):
    """A request for another service cannot be answered: AWS's code, the text, the status."""

    def __init__(self, code: str, message: str, status: int) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.status = status


class ErrorForm(NamedTuple):
    """An error as it is sent."""

    content_type: str
    headers: tuple[tuple[str, str], ...]
    body: bytes


def error_form(asked: str, headers: Mapping[str, str], error: tuple[str, str], request_id: str) -> ErrorForm:
    """Return an error (code and text) as clients of the service `asked` expect it after a request with `headers`."""
    code, message = error
    named = (("x-amzn-ErrorType", code),)
    if headers.get("smithy-protocol") == "rpc-v2-cbor":
        body = b"\xa2" + _cbor("__type") + _cbor(code) + _cbor("message") + _cbor(message)
        return ErrorForm("application/cbor", (("smithy-protocol", "rpc-v2-cbor"), *named), body)
    if "x-amz-target" in headers:
        version = "1.0" if headers.get("content-type", "").endswith("1.0") else "1.1"
        document = json.dumps({"__type": code, "message": message})
        return ErrorForm(f"application/x-amz-json-{version}", named, document.encode())
    is_form = headers.get("content-type", "").startswith("application/x-www-form-urlencoded")
    if asked not in _REST_XML and not is_form and asked not in _QUERY:
        return ErrorForm("application/json", named, json.dumps({"message": message}).encode())
    inner = f"<Code>{_escaped(code)}</Code><Message>{_escaped(message)}</Message>"
    if asked == "s3":
        text = f"<Error>{inner}<RequestId>{request_id}</RequestId></Error>"
    elif asked == "ec2":
        text = f"<Response><Errors><Error>{inner}</Error></Errors><RequestID>{request_id}</RequestID></Response>"
    else:
        typed = f"<Error><Type>Receiver</Type>{inner}</Error>"
        text = f"<ErrorResponse>{typed}<RequestId>{request_id}</RequestId></ErrorResponse>"
    return ErrorForm("text/xml", named, f'<?xml version="1.0" encoding="UTF-8"?>\n{text}'.encode())


def _cbor(text: str) -> bytes:
    data = text.encode()
    if len(data) < 24:
        return bytes([0x60 + len(data)]) + data
    return b"\x79" + len(data).to_bytes(2, "big") + data


def _escaped(text: str) -> str:
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
