"""Layers and code from the embedded S3, by version; environment variables under a key of the embedded KMS."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function, invoke, make_zip_bytes

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow


def test_a_layer_of_the_object_s_older_version(neighboured: LambentServer) -> None:
    s3, client = neighboured.client("s3"), neighboured.client()
    s3.create_bucket(Bucket="packages")
    s3.put_bucket_versioning(Bucket="packages", VersioningConfiguration={"Status": "Enabled"})
    versions = [
        s3.put_object(Bucket="packages", Key="a/l.zip", Body=make_zip_bytes({"python/w.py": f"W = {n}\n"}))["VersionId"]
        for n in (1, 2)
    ]
    place = {"S3Bucket": "packages", "S3Key": "a/l.zip"}
    older = client.publish_layer_version(LayerName="from-s3", Content={**place, "S3ObjectVersion": versions[0]})
    newer = client.publish_layer_version(LayerName="from-s3", Content=place)
    code = {"index.py": "import w\ndef handler(event, context):\n    return w.W\n"}
    for number, layer in enumerate((older, newer), 1):
        create_function(client, f"s3-layer-{number}", code, Layers=[layer["LayerVersionArn"]])
        assert invoke(client, f"s3-layer-{number}") == number
    with pytest.raises(client.exceptions.InvalidParameterValueException) as refused:
        client.publish_layer_version(LayerName="from-s3", Content={**place, "S3Key": "none.zip"})
    assert refused.value.response["Error"]["Message"] == (
        "Error occurred while GetObject. S3 Error Code: NoSuchKey. S3 Error Message: The specified key does not exist."
    )
    assert client.list_layer_versions(LayerName="from-s3")["LayerVersions"][0]["Version"] == 2, "no number was lost"


def test_the_package_is_looked_at_before_the_network(neighboured: LambentServer) -> None:
    s3, client = neighboured.client("s3"), neighboured.client()
    s3.create_bucket(Bucket="networked")
    members = {
        "FunctionName": "networked",
        "Runtime": "python3.12",
        "Handler": "index.handler",
        "Role": "arn:aws:iam::000000000000:role/r",
        "VpcConfig": {"SubnetIds": ["subnet-0bad"], "SecurityGroupIds": ["sg-0bad"]},
    }
    for is_there, refusal in ((False, "while GetObject. S3 Error Code: NoSuchKey"), (True, "while DescribeSecurityGr")):
        if is_there:
            s3.put_object(Bucket="networked", Key="f.zip", Body=make_zip_bytes({"index.py": ""}))
        with pytest.raises(client.exceptions.InvalidParameterValueException, match=refusal):
            client.create_function(**members, Code={"S3Bucket": "networked", "S3Key": "f.zip"})


def test_a_key_s_life(neighboured: LambentServer) -> None:
    kms, client = neighboured.client("kms"), neighboured.client()
    key = kms.create_key()["KeyMetadata"]
    code = {"index.py": "import os\ndef handler(event, context):\n    return os.environ['WORD']\n"}
    create_function(client, "keyed", code, KMSKeyArn=key["Arn"], Environment={"Variables": {"WORD": "secret"}})
    assert invoke(client, "keyed") == "secret"
    kms.disable_key(KeyId=key["KeyId"])
    assert invoke(client, "keyed") == "secret", "the environment that runs goes on"
    assert refusal_after_update(client, "keyed") == "KMSDisabledException"
    assert client.get_function_configuration(FunctionName="keyed")["Environment"]["Error"]["ErrorCode"] == (
        "DisabledException"
    )
    kms.enable_key(KeyId=key["KeyId"])
    assert refusal_after_update(client, "keyed") is None
    kms.schedule_key_deletion(KeyId=key["KeyId"], PendingWindowInDays=7)
    assert refusal_after_update(client, "keyed") == "KMSInvalidStateException"


def refusal_after_update(client: Any, name: str) -> str | None:
    """Invoke in a new environment; return the error's code, None when it works."""
    client.update_function_configuration(FunctionName=name, Description="new environments")
    client.get_waiter("function_updated_v2").wait(FunctionName=name)
    try:
        client.invoke(FunctionName=name)
    except ClientError as error:
        return str(error.response["Error"]["Code"])
    return None
