"""Payload format 2.0: an HTTP request as an event, and a function's answer as an HTTP answer.

Source: developer guide, "Invoking Lambda function URLs"; recorded (TestLambdaURL).
"""

from __future__ import annotations

import base64
import binascii
import json
import re
from datetime import UTC, datetime
from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import parse_qsl

if TYPE_CHECKING:
    from lambent.wire.http_exchange import HttpCall, HttpCaller

Headers = tuple[tuple[str, str], ...]

DEFAULT_TYPE = "application/json"
_TEXT_TYPES = frozenset({"application/json", "application/javascript", "application/xml"})
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
# What concerns the connection and not the function. Source: RFC 9110, section 7.6.1.
_CONNECTION = frozenset(
    {"connection", "keep-alive", "proxy-authenticate", "proxy-authorization", "proxy-connection"}
    | {"te", "trailer", "transfer-encoding", "upgrade", "expect"}
)
# What the front end says itself; a function's own is passed on under another name. Source: observed.
_REMAPPED = frozenset({"content-length", "date", "host", "server", "www-authenticate", "x-amzn-requestid"})
_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
_VALUE = re.compile(r"[^\x00-\x08\x0a-\x1f\x7f]*")
_SEPARATORS = (",", ":")
# Of AWS's front end, which every event names.
_TLS = {"x-amzn-tls-cipher-suite": "TLS_AES_128_GCM_SHA256", "x-amzn-tls-version": "TLSv1.3"}


class BadAnswerError(Exception):
    """The function's answer is not one that can be sent (502)."""


class Door(NamedTuple):
    """What the event says of the door: the URL's id, its host name, and who called (None: nobody known)."""

    url_id: str
    domain_name: str
    caller: HttpCaller | None
    at_ms: int
    trace_header: str


class ReadAnswer(NamedTuple):
    """A function's answer in HTTP's words. Without `Content-Type` among the headers none was given."""

    status: int
    headers: Headers
    body: bytes = b""


def event_of(call: HttpCall, path: str, door: Door) -> bytes:
    """Return the event as JSON. `path` is the request's path below the URL, percent-encoded as received."""
    query = call.target.partition("?")[2]
    event: dict[str, object] = {"version": "2.0", "routeKey": "$default", "rawPath": path, "rawQueryString": query}
    cookies = call.headers.get("cookie")
    if cookies is not None:
        event["cookies"] = [cookie.strip() for cookie in cookies.split(";") if cookie.strip()]
    event["headers"] = _headers(call, door)
    if query:
        event["queryStringParameters"] = _parameters(query)
    event["requestContext"] = _context(call, path, door)
    text = _text(call)
    if call.body:
        event["body"] = base64.b64encode(call.body).decode() if text is None else text
    event["isBase64Encoded"] = text is None
    return json.dumps(event, separators=_SEPARATORS, ensure_ascii=False).encode()


def read_answer(payload: bytes) -> ReadAnswer:
    """Return what a function's payload means: an HTTP answer if it has `statusCode`, else the body of one.

    Raises:
        BadAnswerError: neither can be made of it.
    """
    try:
        value = json.loads(payload)
    except (ValueError, RecursionError):
        raise BadAnswerError("it is not JSON") from None
    if not isinstance(value, dict) or "statusCode" not in value:
        return ReadAnswer(200, (), _body(value))
    status, headers = read_head(value)
    body = value.get("body")
    content = b"" if body is None else _body(body)
    if value.get("isBase64Encoded") is True:
        try:
            content = base64.b64decode(content, validate=True)
        except (binascii.Error, ValueError):
            raise BadAnswerError("its body is not base64") from None
    return ReadAnswer(status, headers, content)


def read_head(value: dict[str, object]) -> tuple[int, Headers]:
    """Return status and headers, cookies among them, of a JSON object that has them.

    Raises:
        BadAnswerError: they are not of the right form.
    """
    headers = value.get("headers")
    cookies = value.get("cookies")
    if headers is None:
        headers = {}
    if not isinstance(headers, dict) or not (cookies is None or isinstance(cookies, list)):
        raise BadAnswerError("headers or cookies have another form")
    lines = [_line(str(name), item) for name, item in headers.items() if str(name).lower() not in _CONNECTION]
    lines += [_line("Set-Cookie", cookie) for cookie in cookies or ()]
    return _status(value.get("statusCode", 200)), tuple(lines)


def _headers(call: HttpCall, door: Door) -> dict[str, str]:
    # The signature and its token were for us.
    left_out = _CONNECTION if door.caller is None else _CONNECTION | {"authorization", "x-amz-security-token"}
    headers = {name: value for name, value in call.headers.items() if name not in left_out}
    return headers | {
        "x-amzn-trace-id": door.trace_header,
        "x-forwarded-for": call.source_ip,
        "x-forwarded-port": str(call.port),
        "x-forwarded-proto": call.scheme,
        **_TLS,
    }


def _parameters(query: str) -> dict[str, str]:
    parameters: dict[str, str] = {}
    for name, value in parse_qsl(query, keep_blank_values=True, errors="replace"):
        parameters[name] = f"{parameters[name]},{value}" if name in parameters else value
    return parameters


def _context(call: HttpCall, path: str, door: Door) -> dict[str, object]:
    caller = door.caller
    context: dict[str, object] = {
        "accountId": "anonymous" if caller is None else caller.account_id,
        "apiId": door.url_id,
    }
    if caller is not None:
        context["authorizer"] = {"iam": _iam(caller)}
    moment = datetime.fromtimestamp(door.at_ms // 1000, UTC)
    return context | {
        "domainName": door.domain_name,
        "domainPrefix": door.url_id,
        "http": {
            "method": call.method,
            "path": path,
            "protocol": call.protocol,
            "sourceIp": call.source_ip,
            "userAgent": call.headers.get("user-agent", ""),
        },
        "requestId": call.request_id,
        "routeKey": "$default",
        "stage": "$default",
        # strftime's names of months follow the locale.
        "time": f"{moment:%d}/{_MONTHS[moment.month - 1]}/{moment:%Y:%H:%M:%S} +0000",
        "timeEpoch": door.at_ms,
    }


def _iam(caller: HttpCaller) -> dict[str, object]:
    name = caller.principal_arn.rpartition(":")[2]
    user_id = caller.account_id if name == "root" else name.rpartition("/")[2]
    return {
        "accessKey": caller.access_key_id,
        "accountId": caller.account_id,
        "callerId": user_id,
        "cognitoIdentity": None,
        "principalOrgId": None,
        "userArn": caller.principal_arn,
        "userId": user_id,
    }


def is_binary(call: HttpCall) -> bool:
    """Whether the body travels in base64 by what its type says."""
    media_type = call.headers.get("content-type", "").partition(";")[0].strip().lower()
    return bool(call.body) and not media_type.startswith("text/") and media_type not in _TEXT_TYPES


def _text(call: HttpCall) -> str | None:
    """Return the body as text, None for one that is binary by its type or its content."""
    if is_binary(call):
        return None
    try:
        return call.body.decode()
    except UnicodeDecodeError:
        return None


def _body(value: object) -> bytes:
    # Recorded: a text is sent as it is, everything else as JSON without blanks.
    text = value if isinstance(value, str) else json.dumps(value, separators=_SEPARATORS, ensure_ascii=False)
    return text.encode("utf-8", "replace")


def _status(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) == 3:
        value = int(value)
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if not isinstance(value, int) or isinstance(value, bool) or not 200 <= value <= 599:
        raise BadAnswerError("its statusCode is none")
    return value


def _line(name: str, value: object) -> tuple[str, str]:
    if isinstance(value, bool):
        value = "true" if value else "false"
    elif isinstance(value, int | float):
        value = str(value)
    if not isinstance(value, str) or not _TOKEN.fullmatch(name) or not _VALUE.fullmatch(value):
        raise BadAnswerError("a header or cookie is no text")
    return (f"x-amzn-Remapped-{name}" if name.lower() in _REMAPPED else name), value
