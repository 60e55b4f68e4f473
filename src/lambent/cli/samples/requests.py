"""Sample events of what turns HTTP requests into events: API Gateway, load balancers, function URLs."""

from __future__ import annotations

from lambent.cli.samples.sample import MONTHS, Document, Given, Sample

_AGENT = "Mozilla/5.0 (example)"
_IP = "192.0.2.1"
_API = "1234567890"
_URL = "abcdefghijklmnopqrstuvwxyz012345"


def _time_text(given: Given) -> str:
    moment = given.moment
    return f"{moment:%d}/{MONTHS[moment.month - 1]}/{moment:%Y:%H:%M:%S} +0000"


def _host(given: Given) -> str:
    return f"{_API}.execute-api.{given.region}.amazonaws.com"


def _trace(given: Given) -> str:
    return f"Root=1-{given.at_seconds:08x}-{given.hexadecimal('trace', 24)}"


def _headers(given: Given, host: str) -> dict[str, str]:
    return {
        "accept": "*/*",
        "content-type": "application/json",
        "host": host,
        "user-agent": _AGENT,
        "x-amzn-trace-id": _trace(given),
        "x-forwarded-for": _IP,
        "x-forwarded-port": "443",
        "x-forwarded-proto": "https",
    }


def _identity() -> Document:
    unknown = ("cognitoIdentityPoolId", "accountId", "cognitoIdentityId", "caller", "accessKey")
    rest = ("cognitoAuthenticationType", "cognitoAuthenticationProvider", "userArn")
    return {
        **dict.fromkeys(unknown),
        "sourceIp": _IP,
        "principalOrgId": None,
        **dict.fromkeys(rest),
        "userAgent": _AGENT,
        "user": None,
    }


def rest_api(given: Given) -> Document:
    """Return a request to a REST API with proxy integration: payload format 1.0."""
    # Source: API Gateway developer guide, "Input format of a Lambda function for proxy integration".
    host, path = _host(given), given["path"]
    headers = {name.title(): value for name, value in _headers(given, host).items()}
    context: Document = {
        "resourceId": "123456",
        "resourcePath": "/{proxy+}",
        "httpMethod": given["method"],
        "extendedRequestId": given.hexadecimal("extended", 12),
        "requestTime": _time_text(given),
        "path": f"/{given['stage']}{path}",
        "accountId": given.account_id,
        "protocol": "HTTP/1.1",
        "stage": given["stage"],
        "domainPrefix": _API,
        "requestTimeEpoch": given.at_ms,
        "requestId": given.identifier("request"),
        "identity": _identity(),
        "domainName": host,
        "apiId": _API,
    }
    return {
        "resource": "/{proxy+}",
        "path": path,
        "httpMethod": given["method"],
        "headers": headers,
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "queryStringParameters": {"foo": "bar"},
        "multiValueQueryStringParameters": {"foo": ["bar"]},
        "pathParameters": {"proxy": path.lstrip("/")},
        "stageVariables": {"baz": "qux"},
        "requestContext": context,
        "body": given["body"],
        "isBase64Encoded": False,
    }


def _http_context(given: Given, host: str) -> Document:
    return {
        "domainName": host,
        "domainPrefix": host.partition(".")[0],
        "http": {
            "method": given["method"],
            "path": given["path"],
            "protocol": "HTTP/1.1",
            "sourceIp": _IP,
            "userAgent": _AGENT,
        },
        "requestId": given.identifier("request"),
    }


def http_api(given: Given) -> Document:
    """Return a request to an HTTP API: payload format 2.0."""
    # Source: API Gateway developer guide, "Create AWS Lambda proxy integrations for HTTP APIs".
    host = _host(given)
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": given["path"],
        "rawQueryString": "foo=bar",
        "cookies": ["cookie1", "cookie2"],
        "headers": _headers(given, host),
        "queryStringParameters": {"foo": "bar"},
        "requestContext": {
            "accountId": given.account_id,
            "apiId": _API,
            **_http_context(given, host),
            "routeKey": "$default",
            "stage": given["stage"],
            "time": _time_text(given),
            "timeEpoch": given.at_ms,
        },
        "body": given["body"],
        "pathParameters": {"parameter1": "value1"},
        "isBase64Encoded": False,
        "stageVariables": {"stageVariable1": "value1"},
    }


def function_url(given: Given) -> Document:
    """Return a request to a function URL of AuthType NONE; members as our own gateway gives them."""
    host = f"{_URL}.lambda-url.{given.region}.on.aws"
    tls = {"x-amzn-tls-cipher-suite": "TLS_AES_128_GCM_SHA256", "x-amzn-tls-version": "TLSv1.3"}
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": given["path"],
        "rawQueryString": "foo=bar",
        "headers": _headers(given, host) | tls,
        "queryStringParameters": {"foo": "bar"},
        "requestContext": {
            "accountId": "anonymous",
            "apiId": _URL,
            **_http_context(given, host),
            "routeKey": "$default",
            "stage": "$default",
            "time": _time_text(given),
            "timeEpoch": given.at_ms,
        },
        "body": given["body"],
        "isBase64Encoded": False,
    }


def _socket(given: Given, route: str, kind: str) -> Document:
    # Source: API Gateway developer guide, "Mapping template reference for WebSocket APIs".
    context: Document = {
        "routeKey": route,
        "eventType": kind,
        "extendedRequestId": given.hexadecimal("extended", 12),
        "requestTime": _time_text(given),
        "messageDirection": "IN",
        "stage": given["stage"],
        "connectedAt": given.at_ms,
        "requestTimeEpoch": given.at_ms,
        "identity": {"userAgent": _AGENT, "sourceIp": _IP},
        "requestId": given.hexadecimal("request", 12),
        "domainName": _host(given),
        "connectionId": given["connection"],
        "apiId": _API,
    }
    return {"requestContext": context, "isBase64Encoded": False}


def socket_connect(given: Given) -> Document:
    """Return a new connection to a WebSocket API."""
    headers = {name.title(): value for name, value in _headers(given, _host(given)).items() if name != "content-type"}
    lists = {name: [value] for name, value in headers.items()}
    return {"headers": headers, "multiValueHeaders": lists, **_socket(given, "$connect", "CONNECT")}


def socket_message(given: Given) -> Document:
    """Return a message to a WebSocket API."""
    event = _socket(given, given["route"], "MESSAGE")
    context = event["requestContext"]
    assert isinstance(context, dict)
    context["messageId"] = given.hexadecimal("message", 12)
    return {**event, "body": given["body"]}


def socket_disconnect(given: Given) -> Document:
    """Return the end of a connection to a WebSocket API."""
    event = socket_connect(given) | _socket(given, "$disconnect", "DISCONNECT")
    context = event["requestContext"]
    assert isinstance(context, dict)
    context |= {"disconnectStatusCode": 1000, "disconnectReason": "Going away"}
    return event


def token_authorizer(given: Given) -> Document:
    """Return what a REST API asks its TOKEN authorizer."""
    return {
        "type": "TOKEN",
        "methodArn": given.arn("execute-api", f"{_API}/{given['stage']}/{given['method']}{given['path']}"),
        "authorizationToken": given["token"],
    }


def request_authorizer(given: Given) -> Document:
    """Return what an HTTP API asks its authorizer: payload format 2.0."""
    # Source: API Gateway developer guide, "Control access to HTTP APIs with AWS Lambda authorizers".
    host = _host(given)
    return {
        "version": "2.0",
        "type": "REQUEST",
        "routeArn": given.arn("execute-api", f"{_API}/{given['stage']}/{given['method']}{given['path']}"),
        "identitySource": [given["token"]],
        "routeKey": "$default",
        "rawPath": given["path"],
        "rawQueryString": "",
        "cookies": [],
        "headers": {**_headers(given, host), "authorization": given["token"]},
        "queryStringParameters": {},
        "requestContext": {
            "accountId": given.account_id,
            "apiId": _API,
            **_http_context(given, host),
            "routeKey": "$default",
            "stage": given["stage"],
            "time": _time_text(given),
            "timeEpoch": given.at_ms,
        },
        "pathParameters": {},
        "stageVariables": {},
    }


def load_balancer(given: Given) -> Document:
    """Return a request that an Application Load Balancer hands on."""
    # Source: user guide for Application Load Balancers, "Lambda functions as targets".
    group = given.arn("elasticloadbalancing", f"targetgroup/{given['group']}/{given.hexadecimal('group', 16)}")
    return {
        "requestContext": {"elb": {"targetGroupArn": group}},
        "httpMethod": given["method"],
        "path": given["path"],
        "queryStringParameters": {"foo": "bar"},
        "headers": _headers(given, f"my-balancer-1234567890.{given.region}.elb.amazonaws.com"),
        "body": given["body"],
        "isBase64Encoded": False,
    }


def load_balancer_lists(given: Given) -> Document:
    """Return such a request from a target group with multi-value headers."""
    event = load_balancer(given)
    headers = event.pop("headers")
    event.pop("queryStringParameters")
    assert isinstance(headers, dict)
    body, flag = event.pop("body"), event.pop("isBase64Encoded")
    return {
        **event,
        "multiValueQueryStringParameters": {"foo": ["bar"]},
        "multiValueHeaders": {name: [value] for name, value in headers.items()},
        "body": body,
        "isBase64Encoded": flag,
    }


_REQUEST = {"method": "POST", "path": "/path/to/resource", "body": '{"message": "hello"}'}
_STAGED = {**_REQUEST, "stage": "prod"}
_BALANCED = {**_REQUEST, "group": "my-targets"}
_CONNECTION = {"stage": "prod", "connection": "IAzgUcPjoAMCE8g="}
_ASKED = {"method": "GET", "path": "/request", "stage": "prod", "token": "user1"}

SAMPLES = (
    Sample("apigateway", "Amazon API Gateway, REST API: a request (format 1.0)", _STAGED, rest_api),
    Sample(
        "apigateway-http",
        "Amazon API Gateway, HTTP API: a request (format 2.0)",
        {**_REQUEST, "stage": "$default"},
        http_api,
    ),
    Sample("apigateway-websocket-connect", "Amazon API Gateway, WebSocket API: $connect", _CONNECTION, socket_connect),
    Sample(
        "apigateway-websocket-message",
        "Amazon API Gateway, WebSocket API: a message",
        {**_CONNECTION, "route": "$default", "body": '{"action": "hello"}'},
        socket_message,
    ),
    Sample(
        "apigateway-websocket-disconnect",
        "Amazon API Gateway, WebSocket API: $disconnect",
        _CONNECTION,
        socket_disconnect,
    ),
    Sample("apigateway-authorizer-token", "Amazon API Gateway, REST API: TOKEN authorizer", _ASKED, token_authorizer),
    Sample("apigateway-authorizer-http", "Amazon API Gateway, HTTP API: authorizer", _ASKED, request_authorizer),
    Sample("function-url", "Lambda function URL: a request", _REQUEST, function_url),
    Sample("alb", "Application Load Balancer: a request", _BALANCED, load_balancer),
    Sample(
        "alb-multi-value", "Application Load Balancer: a request, multi-value headers", _BALANCED, load_balancer_lists
    ),
)
