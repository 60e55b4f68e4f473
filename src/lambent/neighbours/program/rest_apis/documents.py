"""REST APIs from OpenAPI documents: ImportRestApi, PutRestApi, and all that a document says of an operation."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping

    Answer = tuple[int, Any, Any]

_ANY_METHOD = "x-amazon-apigateway-any-method"
# Source: API Gateway developer guide, "OpenAPI extensions": what an API is told by its document.
_OF_AN_API = {
    "x-amazon-apigateway-binary-media-types": "binaryMediaTypes",
    "x-amazon-apigateway-minimum-compression-size": "minimumCompressionSize",
    "x-amazon-apigateway-api-key-source": "apiKeySource",
    "x-amazon-apigateway-policy": "policy",
}
_OF_AN_INTEGRATION = (
    "httpMethod", "uri", "connectionType", "connectionId", "credentials", "requestParameters", "requestTemplates",
    "passthroughBehavior", "timeoutInMillis", "contentHandling", "cacheNamespace", "cacheKeyParameters",
)  # fmt: skip


class _InvalidError(Exception):
    """A document that is none; the text is AWS's."""


class RestApiDocuments:
    """Makes APIs of documents. Scope: process; keeps nothing."""

    def __init__(self, module: Any) -> None:
        self._module = module
        self._handle = module.handle_request
        self._import_operation = module._import_operation

    def install(self) -> None:
        """Take the place of what imports less."""
        self._module._OPENAPI_HTTP_METHODS.add(_ANY_METHOD)
        vars(self._module)["_import_operation"] = self.import_operation
        vars(self._module)["handle_request"] = self.handle_request

    async def handle_request(self, method: str, path: str, headers: Any, body: bytes, query: Mapping[str, Any]) -> Any:
        """Answer the two operations that take a document; MiniStack answers all others."""
        parts = [part for part in path.strip("/").split("/") if part]
        mode = _first(query.get("mode"))
        is_import = method == "POST" and len(parts) == 1 and mode == "import"
        if parts[:1] != ["restapis"] or not (is_import or (method == "PUT" and len(parts) == 2)):
            return await self._handle(method, path, headers, body, query)
        try:
            document = _parsed(body)
        except _InvalidError as error:
            return self._module._v1_error("BadRequestException", str(error), 400)
        if is_import:
            return self.create(document, query)
        return self.put(parts[1], document, is_merge=mode == "merge")

    def create(self, document: dict[str, Any], query: Mapping[str, Any]) -> Answer:
        """Return the answer of ImportRestApi."""
        told = _told(document)
        types = _first(query.get("endpointConfigurationTypes"))
        if types:
            told["endpointConfiguration"] = {"types": types.split(",")}
        api_id = self._module._import_rest_api(document, told)
        self._keep_models(api_id, document)
        return self._shown(api_id, 201)

    def put(self, api_id: str, document: dict[str, Any], *, is_merge: bool) -> Answer:
        """Return the answer of PutRestApi: the document's operations replace those there are, or are added to them."""
        module = self._module
        api = module._rest_apis.get(api_id)
        if api is None:
            return self._refused("NotFoundException", "Invalid API identifier specified", 404)
        if not is_merge:
            self._clear(api_id)
            title = (document.get("info") or {}).get("title")
            api.update({"name": str(title)} if title else {})
        api.update(_told(document))
        schemes = module._import_security_schemes(api_id, document)
        for path, item in (document.get("paths") or {}).items():
            module._import_path_item(api_id, path, item, schemes, document.get("security"))
        self._keep_models(api_id, document)
        return self._shown(api_id, 200)

    def import_operation(
        self,
        api_id: str,
        resource_id: str,
        http_method: str,
        operation: Any,
        scheme_map: Any = None,
        default_security: Any = None,
    ) -> None:
        """Make a method with its integration, and all responses of both."""
        module, said = self._module, operation or {}
        method = "ANY" if http_method.lower() == _ANY_METHOD else http_method
        self._import_operation(api_id, resource_id, method, said, scheme_map, default_security)
        kept = module._resources[api_id][resource_id]["resourceMethods"][method]
        kept["operationName"] = said.get("operationId", "")
        kept["requestParameters"] = _parameters(said)
        for status, response in (said.get("responses") or {}).items():
            module._put_method_response(api_id, resource_id, method, str(status), _method_response(response or {}))
        integration = said.get("x-amazon-apigateway-integration")
        if not integration:
            return
        data = {name: integration[name] for name in _OF_AN_INTEGRATION if integration.get(name) is not None}
        data["type"] = str(integration.get("type", "")).upper()
        data["passthroughBehavior"] = str(data.get("passthroughBehavior", "WHEN_NO_MATCH")).upper()
        module._put_integration(api_id, resource_id, method, data)
        for pattern, response in (integration.get("responses") or {}).items():
            chosen = {**response, "selectionPattern": "" if pattern == "default" else pattern}
            status = str(response.get("statusCode", "200"))
            module._put_integration_response(api_id, resource_id, method, status, chosen)

    def _clear(self, api_id: str) -> None:
        resources = self._module._resources[api_id]
        for name in [name for name, one in resources.items() if one.get("path") != "/"]:
            del resources[name]
        for root in resources.values():
            root["resourceMethods"] = {}
        self._module._authorizers_v1.pop(api_id, None)
        self._module._models.pop(api_id, None)

    def _keep_models(self, api_id: str, document: dict[str, Any]) -> None:
        models = document.get("definitions") or (document.get("components") or {}).get("schemas") or {}
        for name, schema in models.items():
            self._module._create_model(api_id, {"name": name, "schema": json.dumps(schema)})

    def _shown(self, api_id: str, status: int) -> Answer:
        answer: Answer = self._module._v1_response(self._module._rest_api_view(self._module._rest_apis[api_id]), status)
        return answer

    def _refused(self, code: str, message: str, status: int) -> Answer:
        answer: Answer = self._module._v1_error(code, message, status)
        return answer


def _parsed(body: bytes) -> dict[str, Any]:
    """Return a document, JSON or YAML. Raises _InvalidError."""
    # Only where somebody sends one: the library of the embedded services' own packages.
    import yaml

    try:
        document = yaml.safe_load(body)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise _InvalidError("Unable to parse API definition because of a malformed or invalid document") from error
    if not isinstance(document, dict) or not ("swagger" in document or "openapi" in document):
        raise _InvalidError("Invalid OpenAPI input.")
    return document


def _told(document: dict[str, Any]) -> dict[str, Any]:
    told = {name: document[key] for key, name in _OF_AN_API.items() if document.get(key) is not None}
    if isinstance(told.get("policy"), dict):
        told["policy"] = json.dumps(told["policy"])
    described = (document.get("info") or {}).get("description")
    return {**told, "description": str(described)} if described else told


def _parameters(operation: dict[str, Any]) -> dict[str, bool]:
    places = {"query": "querystring", "header": "header", "path": "path"}
    return {
        f"method.request.{places[one['in']]}.{one['name']}": bool(one.get("required"))
        for one in operation.get("parameters") or ()
        if isinstance(one, dict) and one.get("in") in places and one.get("name")
    }


def _method_response(response: dict[str, Any]) -> dict[str, Any]:
    headers = {f"method.response.header.{name}": False for name in response.get("headers") or {}}
    models = {}
    for kind, content in (response.get("content") or {}).items():
        reference = str(((content or {}).get("schema") or {}).get("$ref", ""))
        models[kind] = reference.rpartition("/")[2] or "Empty"
    if isinstance(response.get("schema"), dict):
        models = {"application/json": str(response["schema"].get("$ref", "")).rpartition("/")[2] or "Empty"}
    return {"responseParameters": headers, "responseModels": models}


def _first(given: Any) -> str:
    return str((given[0] if given else "") if isinstance(given, list | tuple) else given or "")
