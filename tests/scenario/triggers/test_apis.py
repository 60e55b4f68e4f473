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
    client.create_deployment(restApiId=api, stageName="test")
    host = f"{api}.execute-api.localhost:{triggered.port}"
    status, _, body = _ask(triggered, host, "/test/a/b?q=1&q=2")
    assert (status, body) == (500, {"message": "Internal server error"})
    arn = f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/test/GET/{{proxy+}}"
    assert [one["source_arn"] for one in refusals(triggered) if one["function_arn"] == function] == [arn]
    permit(triggered, "rest", "apigateway.amazonaws.com", f"arn:aws:execute-api:{REGION}:{ACCOUNT}:{api}/*/*/*")
    status, headers, event = _ask(triggered, host, "/test/a/b?q=1&q=2", "POST", b'{"x":1}', headers={"X-Test": "v"})
    assert (status, headers["x-own"]) == (201, "yes"), event
    # Recorded: test_apigateway_lambda.json, test_lambda_aws_proxy_integration.
    assert set(event) >= {
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
    status, _, body = _ask(triggered, host, "/test/fails")
    assert (status, body) == (502, {"message": "Internal server error"})


def test_an_http_api(triggered: LambentServer) -> None:
    function, client = printing(triggered, "http", _CODE), triggered.client("apigatewayv2")
    api = client.create_api(Name="http", ProtocolType="HTTP", RouteKey="GET /pets/{id}", Target=function)["ApiId"]
    if not client.get_routes(ApiId=api)["Items"]:
        integration = client.create_integration(
            ApiId=api, IntegrationType="AWS_PROXY", IntegrationUri=function, PayloadFormatVersion="2.0"
        )["IntegrationId"]
        client.create_route(ApiId=api, RouteKey="GET /pets/{id}", Target=f"integrations/{integration}")
        client.create_stage(ApiId=api, StageName="$default", AutoDeploy=True)
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


def test_websocket_apis_are_refused(triggered: LambentServer) -> None:
    with pytest.raises(ClientError, match="WebSocket APIs are not served here yet") as refused:
        triggered.client("apigatewayv2").create_api(Name="socket", ProtocolType="WEBSOCKET")
    assert refused.value.response["Error"]["Code"] == "BadRequestException"
