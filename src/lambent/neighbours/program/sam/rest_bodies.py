"""REST APIs of a stack whose document is in S3, changes, or says more than methods.

Source: API Gateway developer guide, "OpenAPI extensions for API Gateway"; API reference, PutRestApi (overwrite).
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.rest_apis.documents import RestApiDocuments
from lambent.neighbours.program.sam.bodies import document_of, operations_of

if TYPE_CHECKING:
    from lambent.neighbours.program.sam.bodies import Document

    Properties = dict[str, Any]
    Made = tuple[str, dict[str, Any]]

_RESPONSES = "x-amazon-apigateway-gateway-responses"
_VALIDATOR = "x-amazon-apigateway-request-validator"
# What a template says besides is stronger than its document.
_OWN = {
    "Name": "name",
    "Description": "description",
    "BinaryMediaTypes": "binaryMediaTypes",
    "MinimumCompressionSize": "minimumCompressionSize",
    "Policy": "policy",
    "ApiKeySourceType": "apiKeySource",
    "DisableExecuteApiEndpoint": "disableExecuteApiEndpoint",
}


class RestBodies:
    """Puts documents. Scope: process; keeps nothing. `module` is MiniStack's module of REST APIs."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._documents = RestApiDocuments(module)

    def take_part(self, row: dict[str, Any]) -> None:
        """Let AWS::ApiGateway::RestApi have all of its document, and keep its id when that changes."""
        create, update = row["create"], row["update"]

        def create_whole(logical_id: str, properties: Properties, stack: str) -> Made:
            document = document_of(properties)
            made: Made = create(logical_id, _without_body(properties), stack)
            if document is not None:
                self._put(made[0], properties, document)
            return made

        def update_whole(
            identifier: str, old: Properties, new: Properties, stack: str, logical_id: str | None = None
        ) -> Made:
            document = document_of(new)
            made: Made = update(identifier, _without_body(old), _without_body(new), stack, logical_id)
            if document is not None:
                self._put(made[0], new, document)
            return made

        row |= {"create": create_whole, "update": update_whole}

    def _put(self, api_id: str, properties: Properties, document: Document) -> None:
        module = self._module
        self._documents.put(api_id, document, is_merge=False)
        api = module._rest_apis[api_id]
        api.update({name: properties[given] for given, name in _OWN.items() if properties.get(given) is not None})
        module._gateway_responses[api_id] = {}
        for kind, response in (document.get(_RESPONSES) or {}).items():
            module._put_gateway_response(api_id, kind, response)
        self._put_requests(api_id, document)

    def _put_requests(self, api_id: str, document: Document) -> None:
        """Say of methods what their requests are held against."""
        module = self._module
        module._request_validators.pop(api_id, None)
        validators = {}
        for name, validator in (document.get("x-amazon-apigateway-request-validators") or {}).items():
            _, _, body = module._create_request_validator(api_id, {"name": name, **validator})
            validators[name] = json.loads(body)["id"]
        methods = {one["path"]: one["resourceMethods"] for one in module._resources[api_id].values()}
        for path, method, operation in operations_of(document):
            kept = methods.get(path if path == "/" else path.rstrip("/"), {}).get(method)
            if kept is not None:
                kept["requestModels"] = _models(operation)
                kept["requestValidatorId"] = validators.get(operation.get(_VALIDATOR, document.get(_VALIDATOR)))


def _without_body(properties: Properties) -> Properties:
    return {name: value for name, value in properties.items() if name not in ("Body", "BodyS3Location")}


def _models(operation: Document) -> dict[str, str]:
    schemas = {
        kind: (content or {}).get("schema")
        for kind, content in ((operation.get("requestBody") or {}).get("content") or {}).items()
    }
    for one in operation.get("parameters") or ():
        if one.get("in") == "body":
            schemas["application/json"] = one.get("schema")
    return {
        kind: str(schema["$ref"]).rpartition("/")[2]
        for kind, schema in schemas.items()
        if isinstance(schema, dict) and "$ref" in schema
    }
