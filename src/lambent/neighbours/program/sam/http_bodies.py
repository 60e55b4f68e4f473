"""HTTP APIs of a document: routes, integrations and authorizers, which MiniStack's stacks leave out.

Source: API Gateway developer guide, "Working with OpenAPI definitions for HTTP APIs" and "OpenAPI extensions".
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from lambent.neighbours.program.quick_apis import complete
from lambent.neighbours.program.sam.bodies import (
    AUTHORIZER,
    BodyError,
    document_of,
    integration_of,
    operations_of,
    schemes_of,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from lambent.neighbours.program.sam.bodies import Document

    Properties = dict[str, Any]
    Made = tuple[str, dict[str, Any]]

_CORS = "x-amazon-apigateway-cors"
_SIGNED = "x-amazon-apigateway-authtype"
_QUICK = {"Target": "target", "RouteKey": "routeKey", "CredentialsArn": "credentialsArn"}
_SOURCE = "$request.header.Authorization"
# Member of an integration's extension → of the API.
_INTEGRATION = {
    "httpMethod": "integrationMethod",
    "payloadFormatVersion": "payloadFormatVersion",
    "timeoutInMillis": "timeoutInMillis",
    "connectionType": "connectionType",
    "connectionId": "connectionId",
    "description": "description",
    "requestParameters": "requestParameters",
    "responseParameters": "responseParameters",
    "credentials": "credentialsArn",
    "subtype": "integrationSubtype",
}


class HttpBodies:
    """Makes and remakes what a document says. Scope: process; keeps nothing.

    `module` is MiniStack's module of HTTP APIs, `stacks` its handlers of resources.
    """

    def __init__(self, module: Any, stacks: Any) -> None:
        self._module = module
        self._stacks = stacks

    def take_part(self, row: dict[str, Any]) -> None:
        """Let AWS::ApiGatewayV2::Api have a body."""
        create, update, delete = row["create"], row["update"], row["delete"]

        def create_whole(logical_id: str, properties: Properties, stack: str) -> Made:
            document = document_of(properties)
            made: Made = create(logical_id, _described(properties, document), stack)
            if document is None:
                complete(self._module, made[0], {name: properties.get(key) for key, name in _QUICK.items()})
                return made
            try:
                self._fill(made[0], document)
            except BodyError:
                delete(made[0], properties)
                raise
            return made

        def update_whole(
            identifier: str, old: Properties, new: Properties, stack: str, logical_id: str | None = None
        ) -> Made:
            document = document_of(new)
            before = _described(old, document_of(old))
            made: Made = update(identifier, before, _described(new, document), stack, logical_id)
            if document is not None:
                self._fill(made[0], document)
            return made

        row |= {"create": create_whole, "update": update_whole}

    def _fill(self, api: str, document: Document) -> None:
        """Make an API's routes anew: those of a document are all it has."""
        module = self._module
        kept = {store: dict(getattr(module, store).get(api, {})) for store in ("_routes", "_integrations")}
        authorizers = dict(module._authorizers.get(api, {}))
        module._routes[api], module._integrations[api], module._authorizers[api] = {}, {}, {}
        try:
            schemes = self._authorizers(api, document)
            made: dict[str, str] = {}
            for path, method, operation in operations_of(document):
                self._route(api, (path, method), (document, operation), schemes, made)
        except BodyError:
            module._routes[api], module._integrations[api] = kept["_routes"], kept["_integrations"]
            module._authorizers[api] = authorizers
            raise

    def _route(
        self,
        api: str,
        place: tuple[str, str],
        said: tuple[Document, Document],
        schemes: dict[str, dict[str, str]],
        made: dict[str, str],
    ) -> None:
        path, method = place
        document, operation = said
        key = "$default" if path in ("$default", "/$default") else f"{method} {path}"
        route: dict[str, Any] = {"routeKey": key, "operationName": operation.get("operationId", "")}
        integration = integration_of(document, operation)
        if integration is not None:
            members = _integration(integration)
            # Routes that lead to the same place share an integration.
            name = json.dumps(members, sort_keys=True, default=str)
            if name not in made:
                made[name] = self._made(self._module._create_integration, api, members)["integrationId"]
            route["target"] = f"integrations/{made[name]}"
        route |= _authorization(operation.get("security", document.get("security")), schemes)
        self._made(self._module._create_route, api, route)

    def _authorizers(self, api: str, document: Document) -> dict[str, dict[str, str]]:
        """Make a document's authorizers; return what routes say for each scheme."""
        found: dict[str, dict[str, str]] = {}
        for name, scheme in schemes_of(document).items():
            if not isinstance(scheme, dict):
                continue
            extension = scheme.get(AUTHORIZER)
            if not isinstance(extension, dict):
                if str(scheme.get(_SIGNED, "")).lower() == "awssigv4":
                    found[name] = {"authorizationType": "AWS_IAM"}
                continue
            kind = str(extension.get("type", "")).lower()
            if kind not in ("jwt", "request"):
                raise BodyError(f"Unsupported authorizer type {kind} in the security scheme {name}.")
            identifier = self._create_authorizer(api, name, kind, extension)
            found[name] = {"authorizationType": "JWT" if kind == "jwt" else "CUSTOM", "authorizerId": identifier}
        return found

    def _create_authorizer(self, api: str, name: str, kind: str, extension: Document) -> str:
        source = extension.get("identitySource", _SOURCE if kind == "jwt" else [])
        sources = [one.strip() for one in source.split(",")] if isinstance(source, str) else source
        jwt = extension.get("jwtConfiguration") or {}
        audience = jwt.get("audience", [])
        properties: Properties = {
            "ApiId": api, "Name": name, "AuthorizerType": kind.upper(), "IdentitySource": sources,
            "JwtConfiguration": {
                "Issuer": jwt.get("issuer", ""), "Audience": [audience] if isinstance(audience, str) else audience,
            },
        }  # fmt: skip
        for member, named in (
            ("authorizerUri", "AuthorizerUri"),
            ("authorizerPayloadFormatVersion", "AuthorizerPayloadFormatVersion"),
            ("authorizerResultTtlInSeconds", "AuthorizerResultTtlInSeconds"),
            ("enableSimpleResponses", "EnableSimpleResponses"),
            ("authorizerCredentials", "AuthorizerCredentialsArn"),
        ):
            if member in extension:
                properties[named] = extension[member]
        identifier, _ = self._stacks._apigw_v2_authorizer_create(name, properties, "")
        return str(identifier)

    @staticmethod
    def _made(create: Callable[[str, dict[str, Any]], Any], api: str, members: dict[str, Any]) -> dict[str, Any]:
        status, _, body = create(api, members)
        answered: dict[str, Any] = json.loads(body)
        if status >= 400:
            raise BodyError(str(answered.get("message", "the API refuses its document")))
        return answered


def _described(properties: Properties, document: Document | None) -> Properties:
    """Return an API's properties with what its document says of the API itself; the template's own word is first."""
    given = dict(properties)
    if isinstance(given.get("CorsConfiguration"), dict):
        given["CorsConfiguration"] = _cors(given["CorsConfiguration"])
    if document is None:
        return given
    info = document.get("info") or {}
    said: Properties = {
        "ProtocolType": "HTTP",
        "Name": info.get("title"),
        "Version": info.get("version"),
        "Description": info.get("description"),
        "CorsConfiguration": _cors(document.get(_CORS)),
        "Tags": _tags(document),
    }
    merged = {name: value for name, value in said.items() if value}
    return merged | {name: value for name, value in given.items() if value not in (None, "")}


def _cors(given: Any) -> dict[str, Any] | None:
    """Return a CORS configuration as the API has it; a document and a template write it with either first letter."""
    if given is True:
        return {"allowOrigins": ["*"]}
    if not isinstance(given, dict):
        return None
    return {name[:1].lower() + name[1:]: value for name, value in given.items()}


def _tags(document: Document) -> dict[str, str]:
    return {
        one["name"]: str(one["x-amazon-apigateway-tag-value"])
        for one in document.get("tags") or ()
        if isinstance(one, dict) and "x-amazon-apigateway-tag-value" in one and "name" in one
    }


def _integration(given: Document) -> dict[str, Any]:
    members: dict[str, Any] = {
        "integrationType": str(given.get("type", "aws_proxy")).upper(),
        "integrationUri": given.get("uri", ""),
        "payloadFormatVersion": "1.0",
    }
    members |= {named: given[member] for member, named in _INTEGRATION.items() if given.get(member) is not None}
    members["payloadFormatVersion"] = str(members["payloadFormatVersion"])
    return members


def _authorization(security: Any, schemes: dict[str, dict[str, str]]) -> dict[str, Any]:
    for requirement in security or ():
        for name, scopes in (requirement or {}).items():
            if name in schemes:
                return {**schemes[name], **({"authorizationScopes": list(scopes)} if scopes else {})}
    return {}
