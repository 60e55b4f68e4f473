"""The AWS SDK for JavaScript v2, which knows no AWS_ENDPOINT_URL, reaches the services too."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING, Any

import pytest

from tests.running import create_function, invoke

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = [
    pytest.mark.long, pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
]  # fmt: skip

_CODE = """
const AWS = require("aws-sdk");

const services = {
  s3: async () => {
    const s3 = new AWS.S3();
    await s3.createBucket({ Bucket: "of-v2" }).promise();
    await s3.putObject({ Bucket: "of-v2", Key: "a b+c", Body: "object" }).promise();
    return (await s3.getObject({ Bucket: "of-v2", Key: "a b+c" }).promise()).Body.toString();
  },
  dynamodb: async () => {
    const client = new AWS.DynamoDB();
    await client.createTable({
      TableName: "of-v2", BillingMode: "PAY_PER_REQUEST", KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
    }).promise();
    const documents = new AWS.DynamoDB.DocumentClient();
    await documents.put({ TableName: "of-v2", Item: { id: "1", n: 5 } }).promise();
    return (await documents.get({ TableName: "of-v2", Key: { id: "1" } }).promise()).Item.n;
  },
  sqs: async () => {
    const client = new AWS.SQS();
    const { QueueUrl } = await client.createQueue({ QueueName: "of-v2" }).promise();
    await client.sendMessage({ QueueUrl, MessageBody: "message" }).promise();
    return (await client.receiveMessage({ QueueUrl }).promise()).Messages[0].Body;
  },
  sns: async () => (await new AWS.SNS().createTopic({ Name: "of-v2" }).promise()).TopicArn.split(":").at(-1),
  secretsmanager: async () => {
    const client = new AWS.SecretsManager();
    await client.createSecret({ Name: "of-v2", SecretString: "hidden" }).promise();
    return (await client.getSecretValue({ SecretId: "of-v2" }).promise()).SecretString;
  },
  ssm: async () => {
    const client = new AWS.SSM();
    await client.putParameter({ Name: "/of-v2", Value: "value", Type: "String" }).promise();
    return (await client.getParameter({ Name: "/of-v2" }).promise()).Parameter.Value;
  },
  kms: async () => {
    const client = new AWS.KMS();
    const { KeyMetadata } = await client.createKey().promise();
    const sealed = await client.encrypt({ KeyId: KeyMetadata.KeyId, Plaintext: "plain" }).promise();
    return (await client.decrypt({ CiphertextBlob: sealed.CiphertextBlob }).promise()).Plaintext.toString();
  },
  sts: async () => (await new AWS.STS().getCallerIdentity().promise()).Account,
  ec2: async () => (await new AWS.EC2().describeVpcs().promise()).Vpcs.length > 0,
  lambda: async () => {
    const request = { FunctionName: "v2", Payload: JSON.stringify("sts") };
    return JSON.parse((await new AWS.Lambda().invoke(request).promise()).Payload);
  },
  // By AWS's own names and over TLS: what node asks by is node's own.
  untouched: async () => [require("https").request.name, new AWS.SQS().endpoint.href],
};

exports.handler = async (event) => services[event]();
"""
_EXPECTED: dict[str, Any] = {
    "s3": "object", "dynamodb": 5, "sqs": "message", "sns": "of-v2", "secretsmanager": "hidden", "ssm": "value",
    "kms": "plain", "sts": "000000000000", "ec2": True, "lambda": "000000000000",
    "untouched": ["request", "https://sqs.us-east-1.amazonaws.com/"],
}  # fmt: skip


@pytest.fixture(scope="module")
def isolated(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server that isolates as well as the machine can, with a function of the runtime that has this SDK."""
    server = lambent_server_factory({"neighbours.enabled": "true", "runtimes.nearest": "true"})
    create_function(server.client(), "v2", {"index.js": _CODE}, Timeout=60, MemorySize=1_024, Runtime="nodejs16.x")
    return server


@pytest.mark.parametrize("service", _EXPECTED)
def test_it_reaches(isolated: LambentServer, service: str) -> None:
    assert invoke(isolated.client(), "v2", service) == _EXPECTED[service]
