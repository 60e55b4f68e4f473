"""Sample events of what builds and keeps systems: CloudFormation, CodePipeline, CodeDeploy, Secrets Manager."""

from __future__ import annotations

from lambent.cli.samples.sample import Document, Given, Sample


def custom_resource(given: Given) -> Document:
    """Return the request of a custom resource, whose answer is put to ResponseURL."""
    # Source: CloudFormation user guide, "Custom resource request objects".
    stack = given.arn("cloudformation", f"stack/{given['stack']}/{given.identifier('stack')}")
    event: Document = {
        "RequestType": given["request"],
        "ServiceToken": given.function_arn,
        "ResponseURL": given["url"],
        "StackId": stack,
        "RequestId": given.identifier("request"),
        "LogicalResourceId": given["resource"],
        "ResourceType": "AWS::CloudFormation::CustomResource",
        "ResourceProperties": {"ServiceToken": given.function_arn, "Key": given["value"]},
    }
    if given["request"] != "Create":
        event["PhysicalResourceId"] = f"{given['stack']}-{given['resource']}"
    if given["request"] == "Update":
        event["OldResourceProperties"] = {"ServiceToken": given.function_arn, "Key": "old value"}
    return event


def pipeline(given: Given) -> Document:
    """Return a job of an Invoke action of CodePipeline."""
    # Source: CodePipeline user guide, "Example JSON event".

    def artifact(label: str) -> Document:
        place = {"bucketName": given["bucket"], "objectKey": f"{given['pipeline']}/{label}.zip"}
        return {"name": label, "revision": None, "location": {"type": "S3", "s3Location": place}}

    credentials = {
        "accessKeyId": "AKIAIOSFODNN7EXAMPLE",
        "secretAccessKey": "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        "sessionToken": "example-session-token",
    }
    asked = {"FunctionName": given.function_name, "UserParameters": given["parameters"]}
    data: Document = {
        "actionConfiguration": {"configuration": asked},
        "inputArtifacts": [artifact("input")],
        "outputArtifacts": [],
        "artifactCredentials": credentials,
        "continuationToken": given.identifier("continuation"),
    }
    return {
        "CodePipeline.job": {"id": given.identifier("job"), "accountId": given.account_id, "data": data},
    }


def deployment_hook(given: Given) -> Document:
    """Return the call of a hook of a deployment of CodeDeploy."""
    # Source: CodeDeploy user guide, "AppSpec 'hooks' section for an AWS Lambda deployment".
    return {
        "DeploymentId": f"d-{given.hexadecimal('deployment', 9).upper()}",
        "LifecycleEventHookExecutionId": given.hexadecimal("hook", 64),
    }


def rotation(given: Given) -> Document:
    """Return a step of the rotation of a secret."""
    # Source: Secrets Manager user guide, "Lambda rotation functions".
    return {
        "Step": given["step"],
        "SecretId": given.arn("secretsmanager", f"secret:{given['secret']}-{given.hexadecimal('secret', 6)}"),
        "ClientRequestToken": given.identifier("token"),
        "RotationToken": given.identifier("rotation"),
    }


def state_machine(given: Given) -> Document:
    """Return what a state of Step Functions sends that waits for a callback."""
    # Source: Step Functions developer guide, "Wait for a Callback with Task Token"; the state's Parameters say it.
    return {"token": given.hexadecimal("token", 64), "input": {"message": given["message"]}}


SAMPLES = (
    Sample(
        "cloudformation",
        "AWS CloudFormation: a custom resource",
        {
            "request": "Create",
            "stack": "my-stack",
            "resource": "MyResource",
            "value": "new value",
            "url": "https://cloudformation-custom-resource-response.example.com/pre-signed",
        },
        custom_resource,
    ),
    Sample(
        "codepipeline",
        "AWS CodePipeline: a job",
        {"pipeline": "my-pipeline", "bucket": "example-artifacts", "parameters": "my parameters"},
        pipeline,
    ),
    Sample("codedeploy", "AWS CodeDeploy: a hook of a deployment", {}, deployment_hook),
    Sample(
        "secrets-rotation",
        "AWS Secrets Manager: a step of a rotation",
        {"secret": "my-secret", "step": "createSecret"},
        rotation,
    ),
    Sample("step-functions", "AWS Step Functions: a task with a token", {"message": "hello"}, state_machine),
)
