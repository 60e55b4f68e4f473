"""SAM's templates: what they become, what they answer, and how wrong ones are refused."""

from __future__ import annotations

import json
import urllib.request
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.scenario.stacks.conftest import Stack, get_att, invoked, names, outputs, resource

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

SAM = "AWS::Serverless-2016-10-31"
AUTO = ["CAPABILITY_IAM", "CAPABILITY_AUTO_EXPAND"]
# Answers with where it was called.
CODE = """
import json, os

def handler(event, context):
    said = {"route": event.get("routeKey"), "path": event.get("path"), "parameters": event.get("pathParameters"),
            "word": os.environ.get("WORD"), "body": event.get("body")}
    return {"statusCode": 200, "headers": {"content-type": "application/json"}, "body": json.dumps(said)}
"""


def serverless(**properties: Any) -> dict[str, Any]:
    """Return a function of SAM's."""
    return {"Type": "AWS::Serverless::Function", "Properties": {"InlineCode": CODE, **properties}}


def event(kind: str, **properties: Any) -> dict[str, Any]:
    """Return what calls a function."""
    return {"Type": kind, "Properties": properties}


GLOBALS = {"Function": {"Runtime": "python3.13", "Handler": "index.handler", "Timeout": 20}}


def created(server: LambentServer, name: str, resources: dict[str, Any], **sections: Any) -> Stack:
    """Create a stack of a SAM template and wait until it is there."""
    stack = Stack(server, name)
    body = json.dumps({"Transform": SAM, "Globals": GLOBALS, "Resources": resources, **sections})
    stack.client.create_stack(StackName=name, TemplateBody=body, Capabilities=AUTO)
    stack.wait_ended()
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    return stack


def called(server: LambentServer, api: str, path: str, stage: str = "", method: str = "GET") -> Any:
    """Return what an API answers under its own name."""
    prefix = f"/{stage}" if stage else ""
    request = urllib.request.Request(f"{server.url}{prefix}{path}", method=method)
    request.add_header("Host", f"{api}.execute-api.us-east-1.amazonaws.com")
    with urllib.request.urlopen(request, timeout=60) as answer:
        return json.loads(answer.read())


def test_a_function_with_globals_parameters_policies_and_a_connector(stacking: LambentServer) -> None:
    resources = {
        "Hello": serverless(
            FunctionName={"Ref": "Name"},
            Environment={"Variables": {"WORD": {"Ref": "Word"}}},
            Policies=[{"DynamoDBCrudPolicy": {"TableName": {"Ref": "Table"}}}, "AmazonSQSReadOnlyAccess"],
            AutoPublishAlias="live",
        ),
        "Table": {"Type": "AWS::Serverless::SimpleTable"},
        "Reads": {
            "Type": "AWS::Serverless::Connector",
            "Properties": {"Source": {"Id": "Hello"}, "Destination": {"Id": "Table"}, "Permissions": ["Read"]},
        },
    }
    parameters = {
        "Word": {"Type": "String", "Default": "first"}, "Name": {"Type": "String", "Default": "sam-hello"},
    }  # fmt: skip
    shown = outputs(Alias={"Ref": "Hello.Alias"}, Role=get_att("HelloRole", "Arn"))
    stack = created(stacking, "sam-plain", resources, Parameters=parameters, Outputs=shown)
    assert json.loads(invoked(stacking, "sam-hello:live", {})["body"])["word"] == "first"
    assert stack.outputs["Alias"].endswith(":function:sam-hello:live")
    configuration = stacking.client().get_function_configuration(FunctionName="sam-hello")
    assert configuration["Timeout"] == 20
    iam, role = stacking.client("iam"), stack.outputs["Role"].rpartition("/")[2]
    attached = {one["PolicyArn"] for one in iam.list_attached_role_policies(RoleName=role)["AttachedPolicies"]}
    assert "arn:aws:iam::aws:policy/AmazonSQSReadOnlyAccess" in attached
    assert "arn:aws:iam::aws:policy/service-role/AWSLambdaBasicExecutionRole" in attached
    assert len(attached) == 3, "the connector's policy"
    [inline] = iam.list_role_policies(RoleName=role)["PolicyNames"]
    [statement] = iam.get_role_policy(RoleName=role, PolicyName=inline)["PolicyDocument"]["Statement"]
    assert "dynamodb:PutItem" in statement["Action"]
    stack.client.update_stack(
        StackName="sam-plain", UsePreviousTemplate=True, Capabilities=AUTO,
        Parameters=[{"ParameterKey": "Word", "ParameterValue": "second"}],
    )  # fmt: skip
    stack.wait_ended()
    assert stack.status == "UPDATE_COMPLETE", stack.reasons
    assert json.loads(invoked(stacking, "sam-hello", {})["body"])["word"] == "second"
    stack.delete()
    assert "sam-hello" not in names(stacking)


def test_both_stages_of_a_template(stacking: LambentServer) -> None:
    stack = created(stacking, "sam-stages", {"Hello": serverless()})
    original = stack.client.get_template(StackName="sam-stages", TemplateStage="Original")["TemplateBody"]
    assert original["Resources"]["Hello"]["Type"] == "AWS::Serverless::Function"
    processed = stack.client.get_template(StackName="sam-stages", TemplateStage="Processed")
    assert processed["StagesAvailable"] == ["Original", "Processed"]
    resources = processed["TemplateBody"]["Resources"]
    assert {name: one["Type"] for name, one in resources.items()} == {
        "Hello": "AWS::Lambda::Function", "HelloRole": "AWS::IAM::Role",
    }  # fmt: skip
    summary = stack.client.get_template_summary(StackName="sam-stages")
    assert summary["DeclaredTransforms"] == [SAM]
    assert "CAPABILITY_AUTO_EXPAND" in summary["Capabilities"]
    assert summary["ResourceTypes"] == ["AWS::Serverless::Function"]
    stack.delete()


def test_an_http_api_leads_to_functions_and_follows_its_template(stacking: LambentServer) -> None:
    def resources(path: str) -> dict[str, Any]:
        events = {
            "One": event("HttpApi", Path=path, Method="GET"), "Rest": event("HttpApi", Path="/{proxy+}", Method="POST"),
        }  # fmt: skip
        return {"Hello": serverless(Events=events), "Any": serverless(Events={"All": event("HttpApi")})}

    shown = outputs(Api={"Ref": "ServerlessHttpApi"})
    stack = created(stacking, "sam-http", resources("/items/{id}"), Outputs=shown)
    api = stack.outputs["Api"]
    answer = called(stacking, api, "/items/7")
    assert (answer["route"], answer["parameters"]) == ("GET /items/{id}", {"id": "7"})
    assert called(stacking, api, "/a/b", method="POST")["route"] == "POST /{proxy+}"
    assert called(stacking, api, "/elsewhere", method="DELETE")["route"] == "$default"
    client = stacking.client("apigatewayv2")
    assert len(client.get_integrations(ApiId=api)["Items"]) == 2
    body = json.dumps({"Transform": SAM, "Globals": GLOBALS, "Resources": resources("/things/{id}"), "Outputs": shown})
    stack.client.update_stack(StackName="sam-http", TemplateBody=body, Capabilities=AUTO)
    stack.wait_ended()
    assert stack.status == "UPDATE_COMPLETE", stack.reasons
    assert stack.outputs["Api"] == api
    assert called(stacking, api, "/things/8")["route"] == "GET /things/{id}"
    assert {one["RouteKey"] for one in client.get_routes(ApiId=api)["Items"]} == {
        "GET /things/{id}", "POST /{proxy+}", "$default",
    }  # fmt: skip
    stack.delete()


def test_an_http_api_with_a_target_needs_no_routes(stacking: LambentServer) -> None:
    api = {
        "Type": "AWS::ApiGatewayV2::Api",
        "Properties": {"Name": "quick", "ProtocolType": "HTTP", "Target": get_att("Hello", "Arn")},
    }
    principal = {"Principal": "apigateway.amazonaws.com", "Action": "lambda:InvokeFunction"}
    allowed = resource("Permission", FunctionName={"Ref": "Hello"}, **principal)
    stack = created(
        stacking,
        "sam-quick",
        {"Hello": serverless(), "Api": api, "Allowed": allowed},
        Outputs=outputs(Api={"Ref": "Api"}),
    )
    assert called(stacking, stack.outputs["Api"], "/any/where")["route"] == "$default"
    stack.delete()


def test_an_http_api_of_a_document_has_its_authorizers_and_cors(stacking: LambentServer) -> None:
    uri = {"Fn::Sub": "arn:aws:apigateway:${AWS::Region}:lambda:path/2015-03-31/functions/${Hello.Arn}/invocations"}
    integration = {"type": "aws_proxy", "httpMethod": "POST", "payloadFormatVersion": "2.0", "uri": uri}
    operation = {"x-amazon-apigateway-integration": integration, "security": [{"Tokens": ["read"]}], "responses": {}}
    document = {
        "openapi": "3.0.1",
        "info": {"title": "documented", "version": "7"},
        "x-amazon-apigateway-cors": {"allowOrigins": ["https://example.com"], "maxAge": 5},
        "paths": {"/a": {"get": operation}, "/b": {"x-amazon-apigateway-any-method": {**operation, "security": []}}},
        "components": {
            "securitySchemes": {
                "Tokens": {
                    "type": "oauth2",
                    "x-amazon-apigateway-authorizer": {
                        "type": "jwt",
                        "identitySource": "$request.header.Authorization",
                        "jwtConfiguration": {"issuer": "https://example.com/", "audience": ["me"]},
                    },
                }
            }
        },
    }
    resources = {
        "Hello": serverless(),
        "Api": {"Type": "AWS::Serverless::HttpApi", "Properties": {"DefinitionBody": document}},
    }
    stack = created(stacking, "sam-document", resources, Outputs=outputs(Api={"Ref": "Api"}))
    api, client = stack.outputs["Api"], stacking.client("apigatewayv2")
    found = client.get_api(ApiId=api)
    assert (found["Name"], found["CorsConfiguration"]["MaxAge"]) == ("documented", 5)
    routes = {one["RouteKey"]: one for one in client.get_routes(ApiId=api)["Items"]}
    assert set(routes) == {"GET /a", "ANY /b"}
    assert (routes["GET /a"]["AuthorizationType"], routes["GET /a"]["AuthorizationScopes"]) == ("JWT", ["read"])
    [authorizer] = client.get_authorizers(ApiId=api)["Items"]
    assert authorizer["AuthorizerId"] == routes["GET /a"]["AuthorizerId"]
    assert authorizer["JwtConfiguration"] == {"Issuer": "https://example.com/", "Audience": ["me"]}
    stack.delete()


def test_a_rest_api_keeps_its_id_when_its_document_changes(stacking: LambentServer) -> None:
    shown = outputs(Api={"Ref": "ServerlessRestApi"})

    def resources(path: str) -> dict[str, Any]:
        return {"Hello": serverless(Events={"All": event("Api", Path=path, Method="any")})}

    stack = created(stacking, "sam-rest", resources("/first/{name}"), Outputs=shown)
    api = stack.outputs["Api"]
    answer = called(stacking, api, "/first/one", stage="Prod", method="PUT")
    assert (answer["path"], answer["parameters"]) == ("/first/one", {"name": "one"})
    body = json.dumps({"Transform": SAM, "Globals": GLOBALS, "Resources": resources("/second"), "Outputs": shown})
    stack.client.update_stack(StackName="sam-rest", TemplateBody=body, Capabilities=AUTO)
    stack.wait_ended()
    assert stack.status == "UPDATE_COMPLETE", stack.reasons
    assert stack.outputs["Api"] == api
    assert called(stacking, api, "/second", stage="Prod")["path"] == "/second"
    stack.delete()


def test_capabilities_are_asked_for(stacking: LambentServer) -> None:
    client = stacking.client("cloudformation")
    body = json.dumps({"Transform": SAM, "Globals": GLOBALS, "Resources": {"Hello": serverless()}})
    for given, missing in (
        ([], "CAPABILITY_IAM, CAPABILITY_AUTO_EXPAND"), (["CAPABILITY_IAM"], "CAPABILITY_AUTO_EXPAND"),
        (["CAPABILITY_AUTO_EXPAND"], "CAPABILITY_IAM"),
    ):  # fmt: skip
        with pytest.raises(ClientError) as refused:
            client.create_stack(StackName="sam-unable", TemplateBody=body, Capabilities=given)
        error = refused.value.response["Error"]
        assert error["Code"] == "InsufficientCapabilitiesException"
        assert error["Message"] == f"Requires capabilities : [{missing}]"
    with pytest.raises(ClientError, match="does not exist"):
        client.describe_stacks(StackName="sam-unable")


def test_what_is_no_sam_template_is_refused_in_sams_words(stacking: LambentServer) -> None:
    client = stacking.client("cloudformation")
    resources = {
        "Bad": {"Type": "AWS::Serverless::Function", "Properties": {"Handler": "a.b", "Runtime": "python3.13"}},
        "Worse": serverless(Runtime="python3.13", Handler="a.b", Events={"E": {"Type": "Nothing"}}),
    }
    body = json.dumps({"Transform": SAM, "Resources": resources})
    text = (
        "Transform AWS::Serverless-2016-10-31 failed with: Invalid Serverless Application Specification document. "
        "Number of errors found: 2. Resource with id [Bad] is invalid. "
    )
    with pytest.raises(ClientError) as refused:
        client.create_stack(StackName="sam-wrong", TemplateBody=body, Capabilities=AUTO)
    assert refused.value.response["Error"]["Code"] == "ValidationError"
    assert refused.value.response["Error"]["Message"].startswith(text)
    made = client.create_change_set(
        StackName="sam-wrong", ChangeSetName="wrong", ChangeSetType="CREATE", TemplateBody=body, Capabilities=AUTO
    )
    found = client.describe_change_set(ChangeSetName=made["Id"])
    assert (found["Status"], found["ExecutionStatus"]) == ("FAILED", "UNAVAILABLE")
    assert found["StatusReason"].startswith(text)
    assert found["Changes"] == []
    client.delete_change_set(ChangeSetName=made["Id"])
    client.delete_stack(StackName="sam-wrong")


def test_applications_of_the_repository_are_refused(stacking: LambentServer) -> None:
    location = {
        "ApplicationId": "arn:aws:serverlessrepo:us-east-1:123456789012:applications/any",
        "SemanticVersion": "1.0.0",
    }
    resources = {"Any": {"Type": "AWS::Serverless::Application", "Properties": {"Location": location}}}
    with pytest.raises(
        ClientError, match=r"Resource with id \[Any\] is invalid\. The Serverless Application Repository"
    ):
        stacking.client("cloudformation").create_stack(
            StackName="sam-any", TemplateBody=json.dumps({"Transform": SAM, "Resources": resources}), Capabilities=AUTO
        )


def test_includes_and_language_extensions_come_first(stacking: LambentServer) -> None:
    s3 = stacking.client("s3")
    s3.create_bucket(Bucket="snippets")
    s3.put_object(Bucket="snippets", Key="variables.yaml", Body=b"WORD: from a snippet\n")
    include = {"Fn::Transform": {"Name": "AWS::Include", "Parameters": {"Location": "s3://snippets/variables.yaml"}}}
    loop = ["Name", ["One", "Two"], {"Say${Name}": serverless(Environment={"Variables": include})}]
    body = json.dumps(
        {
            "Transform": ["AWS::LanguageExtensions", SAM], "Globals": GLOBALS, "Resources": {"Fn::ForEach::All": loop},
            "Outputs": outputs(Two={"Ref": "SayTwo"}),
        }
    )  # fmt: skip
    stack = Stack(stacking, "sam-first")
    stack.client.create_stack(StackName="sam-first", TemplateBody=body, Capabilities=AUTO)
    stack.wait_ended()
    assert stack.status == "CREATE_COMPLETE", stack.reasons
    assert json.loads(invoked(stacking, stack.outputs["Two"], {})["body"])["word"] == "from a snippet"
    stack.delete()
