"""Documents of OpenAPI as both kinds of API read them."""

from __future__ import annotations

import json
import sys
from typing import Any

Document = dict[str, Any]
ANY_METHOD = "x-amazon-apigateway-any-method"
AUTHORIZER = "x-amazon-apigateway-authorizer"
INTEGRATION = "x-amazon-apigateway-integration"
METHODS = frozenset({"get", "put", "post", "delete", "options", "head", "patch", "trace", ANY_METHOD})


class BodyError(ValueError):
    """A document that no API can be made of; the text is API Gateway's or says what is wrong."""


def document_of(properties: dict[str, Any]) -> Document | None:
    """Return what a resource's `Body` or `BodyS3Location` says, if it has one. Raises BodyError."""
    body = properties.get("Body")
    location = properties.get("BodyS3Location")
    if body is None and isinstance(location, dict):
        body = _object(location)
    if body is None or body == "":
        return None
    if isinstance(body, str):
        body = _parsed(body)
    if not isinstance(body, dict):
        raise BodyError("Invalid OpenAPI input.")
    return body


def schemes_of(document: Document) -> Document:
    """Return the security schemes of a document of OpenAPI 3 or Swagger 2 by their names."""
    found = document.get("securityDefinitions") or _part(document, "components").get("securitySchemes")
    return found if isinstance(found, dict) else {}


def operations_of(document: Document) -> list[tuple[str, str, Document]]:
    """Return path, method in upper case ("ANY" for all) and operation, in the document's order."""
    found = []
    for path, item in _part(document, "paths").items():
        for method, operation in (item or {}).items():
            if method.lower() in METHODS and isinstance(operation, dict):
                found.append((path, "ANY" if method.lower() == ANY_METHOD else method.upper(), operation))
    return found


def integration_of(document: Document, operation: Document) -> Document | None:
    """Return what an operation leads to; one that is named stands among the components."""
    found = operation.get(INTEGRATION)
    if isinstance(found, dict) and isinstance(found.get("$ref"), str):
        name = found["$ref"].rpartition("/")[2]
        found = _part(_part(document, "components"), "x-amazon-apigateway-integrations").get(name)
        if found is None:
            raise BodyError(f"Unable to find the integration {name} in the components of the document.")
    return found if isinstance(found, dict) else None


def _part(document: Document, name: str) -> Document:
    found = document.get(name)
    return found if isinstance(found, dict) else {}


def _object(location: Document) -> str:
    from ministack.services import s3

    bucket, key = location.get("Bucket", ""), location.get("Key", "")
    content = s3._get_object_data(bucket, key, location.get("Version"))
    if content is None:
        raise BodyError(f"Unable to get the object {key} of the bucket {bucket}.")
    return bytes(content).decode()


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        parsed = sys.modules["ministack.services.cloudformation.engine"]._parse_template(text)
        return parsed
