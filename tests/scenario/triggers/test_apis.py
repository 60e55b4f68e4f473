"""REST and HTTP APIs and load balancers answer with functions, through the embedded services."""

from __future__ import annotations

import http.client
import json
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.triggers.conftest import ACCOUNT, REGION, permit, printing, refusals

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.long

_CODE = """
import json
def handler(event, context):
    path = event.get("rawPath") or event.get("path")
    if path.endswith("/fails"):
        raise ValueError("no")
    if path.endswith("/malformed"):
        return {"statusCode": 200, "wrongValue": 1}
    if path.endswith("/nothing"):
        return None
    if path.endswith("/empty"):
        return {}
    headers = {"Content-Type": "application/json", "X-Own": "yes"}
    return {"statusCode": 201, "headers": headers, "body": json.dumps(event)}
"""


def _ask(
    server: LambentServer, host: str, path: str, method: str = "GET", body: bytes = b"", headers: Any = None
) -> tuple[int, dict[str, str], Any]:
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=60)
    connection.request(method, path, body=body or None, headers={"Host": host, **(headers or {})})
    answer = connection.getresponse()
    text = answer.read()
    connection.close()
    try:
        decoded = json.loads(text)
    except ValueError:
        decoded = text
    return answer.status, {name.lower(): value for name, value in answer.getheaders()}, decoded


def _integration(function: str) -> str:
    return f"arn:aws:apigateway:{REGION}:lambda:path/2015-03-31/functions/{function}/invocations"


def test_a_rest_api(triggered: LambentServer) -> None:
    function, client = printing(triggered, "rest", _CODE), triggered.client("apigateway")
    api = client.create_rest_api(name="rest")["id"]
    [root] = [one["id"] for one in client.get_resources(restApiId=api)["items"] if one["path"] == "/"]
    resource = client.create_resource(restApiId=api, parentId=root, pathPart="{proxy+}")["id"]
    client.put_method(restApiId=api, resourceId=resource, httpMethod="ANY", authorizationType="NONE")
    client.put_integration(
        restApiId=api, resourceId=resource, httpMethod="ANY", type="AWS_PROXY", integrationHttpMethod="POST",
        uri=_integration(function),
    )  # fmt: skip
    deployment = client.create_deployment(restApiId=api, stageName="test")["id"]
    host = f"{api}.execute-api.localhost:{triggered.port}"
    status, _, body = _ask(triggered, host, "/test/a/b?q=1&q=2")
    assert (status, body) == (500, {"message": "Internal server error"})
    arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/test/GET/{{proxy+}}"
    assert [one["source_arn"] for one in refusals(triggered) if one["function_arn"] == function] == [arn]
    permit(triggered, "rest", "apigateway.amazonaws.com", f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/*/*/*")
    status, headers, event = _ask(triggered, host, "/test/a/b?q=1&q=2", "POST", b'{"x":1}', headers={"X-Test": "v"})
    assert (status, headers["x-own"]) == (201, "yes"), event
    # Recorded: test_apigateway_lambda.json, test_lambda_aws_proxy_integration.
    assert set(event) == {
        "body", "headers", "httpMethod", "isBase64Encoded", "multiValueHeaders", "multiValueQueryStringParameters",
        "path", "pathParameters", "queryStringParameters", "requestContext", "resource", "stageVariables",
    }  # fmt: skip
    assert (event["resource"], event["path"], event["httpMethod"]) == ("/{proxy+}", "/a/b", "POST")
    assert event["pathParameters"] == {"proxy": "a/b"}
    assert event["multiValueQueryStringParameters"] == {"q": ["1", "2"]}
    assert event["queryStringParameters"] == {"q": "2"}
    assert (event["body"], event["isBase64Encoded"]) == ('{"x":1}', False)
    assert event["requestContext"]["apiId"] == api
    assert event["requestContext"]["stage"] == "test"
    context = event["requestContext"]
    assert context["domainName"] == f"{api}.execute-api.localhost"
    assert (context["domainPrefix"], context["deploymentId"]) == (api, deployment)
    assert _ask(triggered, host, "/test/empty")[::2] == (200, b"")
    for path in ("/test/fails", "/test/malformed", "/test/nothing"):
        assert _ask(triggered, host, path)[::2] == (502, {"message": "Internal server error"})


def test_an_http_api(triggered: LambentServer) -> None:
    function, client = printing(triggered, "http", _CODE), triggered.client("apigatewayv2")
    api = client.create_api(Name="http", ProtocolType="HTTP", RouteKey="GET /pets/{id}", Target=function)["ApiId"]
    assert [one["RouteKey"] for one in client.get_routes(ApiId=api)["Items"]] == ["GET /pets/{id}"]
    assert [(one["StageName"], one["AutoDeploy"]) for one in client.get_stages(ApiId=api)["Items"]] == [
        ("$default", True)
    ]
    host = f"{api}.execute-api.localhost:{triggered.port}"
    status, _, body = _ask(triggered, host, "/pets/7")
    assert (status, body) == (500, {"message": "Internal Server Error"})
    arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/$default/GET/pets/{{id}}"
    assert [one["source_arn"] for one in refusals(triggered) if one["function_arn"] == function] == [arn]
    permit(triggered, "http", "apigateway.amazonaws.com", f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/*/*/pets/*")
    status, headers, event = _ask(triggered, host, "/pets/7?a=1&a=2", headers={"X-Test": "v"})
    assert (status, headers["x-own"]) == (201, "yes"), event
    # Documented: HTTP APIs, payload format version 2.0.
    assert (event["version"], event["routeKey"], event["rawPath"]) == ("2.0", "GET /pets/{id}", "/pets/7")
    assert (event["rawQueryString"], event["queryStringParameters"]) == ("a=1&a=2", {"a": "1,2"})
    assert event["pathParameters"] == {"id": "7"}
    assert event["headers"]["x-test"] == "v"
    context = event["requestContext"]
    assert set(context) >= {
        "accountId", "apiId", "domainName", "http", "requestId", "routeKey", "stage", "time", "timeEpoch"
    }  # fmt: skip
    assert set(context["http"]) == {"method", "path", "protocol", "sourceIp", "userAgent"}
    assert event["isBase64Encoded"] is False
    status, _, body = _ask(triggered, host, "/pets/fails")
    assert (status, body) == (500, {"message": "Internal Server Error"})


def test_a_load_balancer(triggered: LambentServer) -> None:
    function, client = printing(triggered, "balanced", _CODE), triggered.client("elbv2")
    group = client.create_target_group(Name="functions", TargetType="lambda")["TargetGroups"][0]["TargetGroupArn"]
    permit(triggered, "balanced", "elasticloadbalancing.amazonaws.com", group)
    client.register_targets(TargetGroupArn=group, Targets=[{"Id": function}])
    made = client.create_load_balancer(Name="front", Subnets=[])["LoadBalancers"][0]
    action = [{"Type": "forward", "TargetGroupArn": group}]
    client.create_listener(LoadBalancerArn=made["LoadBalancerArn"], Protocol="HTTP", Port=80, DefaultActions=action)
    status, headers, event = _ask(triggered, "front.alb.localhost", "/a/b?q=1", headers={"X-Test": "v"})
    assert (status, headers["x-own"]) == (201, "yes"), event
    # Documented: "Using AWS Lambda with an Application Load Balancer".
    assert event["requestContext"] == {"elb": {"targetGroupArn": group}}
    assert (event["httpMethod"], event["path"], event["queryStringParameters"]) == ("GET", "/a/b", {"q": "1"})
    assert event["headers"]["x-test"] == "v"
    assert (event["body"], event["isBase64Encoded"]) == ("", False)


def test_an_integration_with_a_role_needs_no_policy(triggered: LambentServer) -> None:
    function, client = printing(triggered, "by-role", _CODE), triggered.client("apigateway")
    api = client.create_rest_api(name="by-role")["id"]
    [root] = [one["id"] for one in client.get_resources(restApiId=api)["items"]]
    client.put_method(restApiId=api, resourceId=root, httpMethod="GET", authorizationType="NONE")
    for role, expected in ((f"arn:aws:iam::{ACCOUNT}:role/calls", 201), ("arn:aws:iam::999999999999:role/calls", 500)):
        client.put_integration(
            restApiId=api, resourceId=root, httpMethod="GET", type="AWS_PROXY", integrationHttpMethod="POST",
            uri=_integration(function), credentials=role,
        )  # fmt: skip
        client.create_deployment(restApiId=api, stageName="test")
        assert _ask(triggered, f"{api}.execute-api.localhost:{triggered.port}", "/test/")[0] == expected
    routes = triggered.client("apigatewayv2")
    http = routes.create_api(Name="by-role", ProtocolType="HTTP")["ApiId"]
    integration = routes.create_integration(
        ApiId=http, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0",
        CredentialsArn=f"arn:aws:iam::{ACCOUNT}:role/calls",
    )["IntegrationId"]  # fmt: skip
    assert routes.get_integration(ApiId=http, IntegrationId=integration)["CredentialsArn"].endswith("role/calls")
    routes.create_route(ApiId=http, RouteKey="GET /", Target=f"integrations/{integration}")
    routes.create_stage(ApiId=http, StageName="$default", AutoDeploy=True)
    assert _ask(triggered, f"{http}.execute-api.localhost:{triggered.port}", "/")[0] == 201
    routes.update_integration(ApiId=http, IntegrationId=integration, CredentialsArn="")
    assert "CredentialsArn" not in routes.get_integration(ApiId=http, IntegrationId=integration)
    assert _ask(triggered, f"{http}.execute-api.localhost:{triggered.port}", "/")[0] == 500


_DOCUMENT = """
swagger: "2.0"
info: {title: described, version: "1", description: from a document}
x-amazon-apigateway-binary-media-types: [image/png]
paths:
  /pets/{id}:
    parameters: []
    get:
      operationId: find
      parameters: [{name: id, in: path, required: true, type: string}]
      responses: {"200": {description: found, headers: {X-A: {type: string}}, schema: {$ref: "#/definitions/Pet"}}}
      x-amazon-apigateway-integration: {type: mock, requestTemplates: {application/json: '{"statusCode": 200}'},
        responses: {default: {statusCode: "200", responseTemplates: {application/json: '{"mocked": true}'}}}}
  /{proxy+}:
    x-amazon-apigateway-any-method:
      x-amazon-apigateway-integration: {type: aws_proxy, httpMethod: POST, uri: "URI"}
definitions: {Pet: {type: object}}
"""


def test_a_rest_api_of_a_document(triggered: LambentServer) -> None:
    function, client = printing(triggered, "described", _CODE), triggered.client("apigateway")
    permit(triggered, "described", "apigateway.amazonaws.com")
    body = _DOCUMENT.replace("URI", _integration(function))
    made = client.import_rest_api(body=body.encode(), parameters={"endpointConfigurationTypes": "EDGE"})
    api = made["id"]
    assert (made["name"], made["description"], made["binaryMediaTypes"]) == (
        "described", "from a document", ["image/png"]
    )  # fmt: skip
    assert made["endpointConfiguration"]["types"] == ["EDGE"]
    assert [one["name"] for one in client.get_models(restApiId=api)["items"]] == ["Pet"]
    found = {one["path"]: one for one in client.get_resources(restApiId=api, embed=["methods"])["items"]}
    method = client.get_method(restApiId=api, resourceId=found["/pets/{id}"]["id"], httpMethod="GET")
    assert (method["operationName"], method["requestParameters"]) == ("find", {"method.request.path.id": True})
    assert method["methodResponses"]["200"]["responseModels"] == {"application/json": "Pet"}
    client.create_deployment(restApiId=api, stageName="test")
    host = f"{api}.execute-api.localhost:{triggered.port}"
    assert _ask(triggered, host, "/test/pets/1")[2] == {"mocked": True}
    status, _, event = _ask(triggered, host, "/test/any/thing", "PUT")
    assert (status, event["httpMethod"], event["resource"]) == (201, "PUT", "/{proxy+}")
    # Merged, what is not named stays; otherwise it goes.
    more = json.dumps({"swagger": "2.0", "info": {"title": "merged", "version": "1"}, "paths": {"/new": {"get": {}}}})
    for mode, paths in (
        ("merge", ["/", "/new", "/pets", "/pets/{id}", "/{proxy+}"]), ("overwrite", ["/", "/new"])
    ):  # fmt: skip
        client.put_rest_api(restApiId=api, mode=mode, body=more.encode())
        assert sorted(one["path"] for one in client.get_resources(restApiId=api)["items"]) == paths
    assert client.get_rest_api(restApiId=api)["name"] == "merged"
    for wrong in (b"{", b"[]", b"- a: [", b"{}"):
        with pytest.raises(ClientError, match="BadRequestException"):
            client.import_rest_api(body=wrong)
    with pytest.raises(ClientError, match="NotFoundException"):
        client.put_rest_api(restApiId="nowhere", body=more.encode())


def test_patches_of_a_rest_api(triggered: LambentServer) -> None:
    client = triggered.client("apigateway")
    api = client.create_rest_api(name="patched", binaryMediaTypes=["a/b"])["id"]

    def patched(**patch: str) -> Any:
        answer = client.update_rest_api(restApiId=api, patchOperations=[patch])
        kept = client.get_rest_api(restApiId=api)
        assert answer["binaryMediaTypes"] == kept["binaryMediaTypes"]
        return kept

    size = "/minimumCompressionSize"
    assert patched(op="replace", path=size, value="1024")["minimumCompressionSize"] == 1_024
    assert "minimumCompressionSize" not in patched(op="replace", path=size, value="")
    assert patched(op="add", path="/binaryMediaTypes/image~1png")["binaryMediaTypes"] == ["a/b", "image/png"]
    assert patched(op="remove", path="/binaryMediaTypes/a~1b")["binaryMediaTypes"] == ["image/png"]
    assert patched(op="replace", path="/disableExecuteApiEndpoint", value="true")["disableExecuteApiEndpoint"] is True
    assert patched(op="replace", path="/name", value="renamed")["name"] == "renamed"
    for wrong in ("-1", "many", "10485761"):
        with pytest.raises(ClientError, match="Invalid minimum compression size"):
            patched(op="replace", path=size, value=wrong)
    with pytest.raises(ClientError, match="NotFoundException"):
        client.update_rest_api(restApiId="nowhere", patchOperations=[])


def test_websocket_apis_are_refused(triggered: LambentServer) -> None:
    with pytest.raises(ClientError, match="WebSocket APIs are not served here yet") as refused:
        triggered.client("apigatewayv2").create_api(Name="socket", ProtocolType="WEBSOCKET")
    assert refused.value.response["Error"]["Code"] == "BadRequestException"
