"""Functions call the services they are written with, in Python and Node.js, without an endpoint in their code."""

from __future__ import annotations

import shutil
from typing import TYPE_CHECKING

import pytest

from tests.running import create_function, invoke

if TYPE_CHECKING:
    from tests.conftest import ServerFactory
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

_PYTHON = """
import json
import boto3

TABLE = dict(
    KeySchema=[{"AttributeName": "id", "KeyType": "HASH"}],
    AttributeDefinitions=[{"AttributeName": "id", "AttributeType": "S"}], BillingMode="PAY_PER_REQUEST",
)

def dynamodb(client):
    client.create_table(TableName="things", **TABLE)
    client.put_item(TableName="things", Item={"id": {"S": "1"}, "n": {"N": "5"}})
    return client.get_item(TableName="things", Key={"id": {"S": "1"}})["Item"]["n"]["N"]

def s3(client):
    client.create_bucket(Bucket="inside")
    client.put_object(Bucket="inside", Key="a b", Body=b"object")
    return client.get_object(Bucket="inside", Key="a b")["Body"].read().decode()

def sns(client):
    topic = client.create_topic(Name="inside")["TopicArn"]
    client.publish(TopicArn=topic, Message="x")
    return topic.rpartition(":")[2]

def sqs(client):
    url = client.create_queue(QueueName="inside")["QueueUrl"]
    client.send_message(QueueUrl=url, MessageBody="message")
    return client.receive_message(QueueUrl=url)["Messages"][0]["Body"]

def secretsmanager(client):
    client.create_secret(Name="inside", SecretString="hidden")
    return client.get_secret_value(SecretId="inside")["SecretString"]

def ssm(client):
    client.put_parameter(Name="/inside", Value="value", Type="SecureString")
    return client.get_parameter(Name="/inside", WithDecryption=True)["Parameter"]["Value"]

def kms(client):
    key = client.create_key()["KeyMetadata"]["KeyId"]
    sealed = client.encrypt(KeyId=key, Plaintext=b"plain")["CiphertextBlob"]
    return client.decrypt(CiphertextBlob=sealed)["Plaintext"].decode()

def sts(client):
    return client.get_caller_identity()["Arn"]

def ec2(client):
    return len(client.describe_vpcs()["Vpcs"]) > 0

def handler(event, context):
    return globals()[event](boto3.client(event))
"""
_NODE = """
import { DynamoDBClient, CreateTableCommand, PutItemCommand, GetItemCommand } from "@aws-sdk/client-dynamodb";
import { S3Client, CreateBucketCommand, PutObjectCommand, GetObjectCommand } from "@aws-sdk/client-s3";
import { SNSClient, CreateTopicCommand, PublishCommand } from "@aws-sdk/client-sns";
import { SQSClient, CreateQueueCommand, SendMessageCommand, ReceiveMessageCommand } from "@aws-sdk/client-sqs";
import { SecretsManagerClient, CreateSecretCommand, GetSecretValueCommand } from "@aws-sdk/client-secrets-manager";
import { SSMClient, PutParameterCommand, GetParameterCommand } from "@aws-sdk/client-ssm";
import { KMSClient, CreateKeyCommand, EncryptCommand, DecryptCommand } from "@aws-sdk/client-kms";
import { STSClient, GetCallerIdentityCommand } from "@aws-sdk/client-sts";
import { EC2Client, DescribeVpcsCommand } from "@aws-sdk/client-ec2";

const services = {
  dynamodb: async () => {
    const client = new DynamoDBClient({});
    await client.send(new CreateTableCommand({
      TableName: "nodes", BillingMode: "PAY_PER_REQUEST", KeySchema: [{ AttributeName: "id", KeyType: "HASH" }],
      AttributeDefinitions: [{ AttributeName: "id", AttributeType: "S" }],
    }));
    await client.send(new PutItemCommand({ TableName: "nodes", Item: { id: { S: "1" }, n: { N: "5" } } }));
    return (await client.send(new GetItemCommand({ TableName: "nodes", Key: { id: { S: "1" } } }))).Item.n.N;
  },
  s3: async () => {
    const client = new S3Client({});
    await client.send(new CreateBucketCommand({ Bucket: "inside-node" }));
    await client.send(new PutObjectCommand({ Bucket: "inside-node", Key: "a b", Body: "object" }));
    return (await client.send(new GetObjectCommand({ Bucket: "inside-node", Key: "a b" }))).Body.transformToString();
  },
  sns: async () => {
    const client = new SNSClient({});
    const { TopicArn } = await client.send(new CreateTopicCommand({ Name: "inside" }));
    await client.send(new PublishCommand({ TopicArn, Message: "x" }));
    return TopicArn.split(":").at(-1);
  },
  sqs: async () => {
    const client = new SQSClient({});
    const { QueueUrl } = await client.send(new CreateQueueCommand({ QueueName: "inside-node" }));
    await client.send(new SendMessageCommand({ QueueUrl, MessageBody: "message" }));
    return (await client.send(new ReceiveMessageCommand({ QueueUrl }))).Messages[0].Body;
  },
  secretsmanager: async () => {
    const client = new SecretsManagerClient({});
    await client.send(new CreateSecretCommand({ Name: "inside-node", SecretString: "hidden" }));
    return (await client.send(new GetSecretValueCommand({ SecretId: "inside-node" }))).SecretString;
  },
  ssm: async () => {
    const client = new SSMClient({});
    await client.send(new PutParameterCommand({ Name: "/inside-node", Value: "value", Type: "SecureString" }));
    const answer = await client.send(new GetParameterCommand({ Name: "/inside-node", WithDecryption: true }));
    return answer.Parameter.Value;
  },
  kms: async () => {
    const client = new KMSClient({});
    const { KeyMetadata } = await client.send(new CreateKeyCommand({}));
    const sealed = await client.send(new EncryptCommand({ KeyId: KeyMetadata.KeyId, Plaintext: Buffer.from("plain") }));
    const opened = await client.send(new DecryptCommand({ CiphertextBlob: sealed.CiphertextBlob }));
    return Buffer.from(opened.Plaintext).toString();
  },
  sts: async () => (await new STSClient({}).send(new GetCallerIdentityCommand({}))).Arn,
  ec2: async () => (await new EC2Client({}).send(new DescribeVpcsCommand({}))).Vpcs.length > 0,
};

export const handler = async (event) => services[event]();
"""
_EXPECTED = {
    "dynamodb": "5", "s3": "object", "sns": "inside", "sqs": "message", "secretsmanager": "hidden", "ssm": "value",
    "kms": "plain", "sts": "arn:aws:sts::000000000000:assumed-role/test/", "ec2": True,
}  # fmt: skip


@pytest.fixture(scope="module")
def isolated(lambent_server_factory: ServerFactory) -> LambentServer:
    """A server that isolates as well as the machine can."""
    server = lambent_server_factory({"neighbours.enabled": "true"})
    create_function(server.client(), "python", {"index.py": _PYTHON}, Timeout=60, MemorySize=512)
    if shutil.which("node") is not None:
        create_function(
            server.client(), "node", {"index.mjs": _NODE}, Timeout=60, MemorySize=1_024, Runtime="nodejs22.x"
        )
    return server


@pytest.mark.parametrize("service", _EXPECTED)
def test_python(isolated: LambentServer, service: str) -> None:
    assert invoke(isolated.client(), "python", service) == _expected(service, "python")


@pytest.mark.skipif(shutil.which("node") is None, reason="needs Node.js")
@pytest.mark.parametrize("service", _EXPECTED)
def test_node(isolated: LambentServer, service: str) -> None:
    assert invoke(isolated.client(), "node", service) == _expected(service, "node")


def _expected(service: str, function: str) -> object:
    # A function is a session of its role, of its own name.
    return f"{_EXPECTED[service]}{function}" if service == "sts" else _EXPECTED[service]
