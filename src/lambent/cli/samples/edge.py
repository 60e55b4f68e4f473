"""Sample events of CloudFront: Lambda@Edge's four places."""

from __future__ import annotations

from email.utils import format_datetime
from functools import partial

from lambent.cli.samples.sample import Document, Given, Sample

_DISTRIBUTION = "d111111abcdef8.cloudfront.net"


def _headers(pairs: dict[str, str]) -> Document:
    return {name.lower(): [{"key": name, "value": value}] for name, value in pairs.items()}


def _request(given: Given, *, is_at_origin: bool) -> Document:
    headers = {"Host": _DISTRIBUTION if is_at_origin else given["host"], "User-Agent": "curl/8.0.1", "Accept": "*/*"}
    request: Document = {
        "clientIp": "203.0.113.178",
        "headers": _headers(headers),
        "method": given["method"],
        "querystring": given["query"],
        "uri": given["uri"],
    }
    if is_at_origin:
        headers = {
            "X-Forwarded-For": "203.0.113.178",
            "User-Agent": "Amazon CloudFront",
            "Via": "2.0 example.cloudfront.net (CloudFront)",
            "Host": given["origin"],
        }
        request["headers"] = _headers(headers)
        request["origin"] = {
            "custom": {
                "customHeaders": {},
                "domainName": given["origin"],
                "keepaliveTimeout": 5,
                "path": "",
                "port": 443,
                "protocol": "https",
                "readTimeout": 30,
                "sslProtocols": ["TLSv1", "TLSv1.1", "TLSv1.2"],
            }
        }
    return request


def _response(given: Given) -> Document:
    headers = {
        "Content-Type": "text/html; charset=utf-8",
        "Content-Length": "9593",
        "Date": format_datetime(given.moment, usegmt=True),
        "Server": "ExampleCustomOriginServer",
    }
    return {"headers": _headers(headers), "status": given["status"], "statusDescription": "OK"}


def _edge(given: Given, *, place: str) -> Document:
    # Source: CloudFront developer guide, "Lambda@Edge event structure".
    configuration = {
        "distributionDomainName": _DISTRIBUTION,
        "distributionId": given["distribution"],
        "eventType": place,
        "requestId": given.hexadecimal("request", 56),
    }
    found: Document = {"config": configuration, "request": _request(given, is_at_origin=place.startswith("origin"))}
    if place.endswith("response"):
        found["response"] = _response(given)
    return {"Records": [{"cf": found}]}


_REQUEST = {"distribution": "EDFDVBD6EXAMPLE", "method": "GET", "uri": "/", "query": ""}
_PLACES = {
    "viewer-request": {**_REQUEST, "host": _DISTRIBUTION},
    "origin-request": {**_REQUEST, "origin": "example.org"},
    "origin-response": {**_REQUEST, "origin": "example.org", "status": "200"},
    "viewer-response": {**_REQUEST, "host": _DISTRIBUTION, "status": "200"},
}

SAMPLES = tuple(
    Sample(f"cloudfront-{place}", f"Amazon CloudFront, Lambda@Edge: {place}", fields, partial(_edge, place=place))
    for place, fields in _PLACES.items()
)
