"""Code signing through the public API: nothing unverified under Enforce, and Warn is heard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function, invoke, make_zip_bytes

if TYPE_CHECKING:
    from tests.conftest import ServerFactory

pytestmark = pytest.mark.slow

CODE = {"index.py": "def handler(event, context):\n    return 1\n"}
NEW_CODE = make_zip_bytes({"index.py": "def handler(event, context):\n    return 2\n"})
PUBLISHERS = {"SigningProfileVersionArns": ["arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/v"]}


def test_enforce_refuses_and_warn_is_heard(lambent_server_factory: ServerFactory) -> None:
    server = lambent_server_factory()
    client = server.client()
    config = client.create_code_signing_config(AllowedPublishers=PUBLISHERS)["CodeSigningConfig"]
    arn = config["CodeSigningConfigArn"]
    assert config["CodeSigningPolicies"] == {"UntrustedArtifactOnDeployment": "Warn"}

    create_function(client, "signed", CODE, CodeSigningConfigArn=arn)
    assert invoke(client, "signed") == 1
    counts = json.loads(server.get("/_lambent/v1/metrics")[1])
    assert counts["functions"]["signed"]["signature_validation_errors"] == 1
    assert "code without a verified signature was deployed" in server.output()
    found = client.get_function(FunctionName="signed")["Configuration"]
    assert not found.keys() & {"SigningProfileVersionArn", "SigningJobArn"}

    client.update_code_signing_config(
        CodeSigningConfigArn=arn, CodeSigningPolicies={"UntrustedArtifactOnDeployment": "Enforce"}
    )
    with pytest.raises(ClientError) as refused:
        client.update_function_code(FunctionName="signed", ZipFile=NEW_CODE)
    assert refused.value.response["Error"]["Code"] == "CodeVerificationFailedException"
    assert invoke(client, "signed") == 1
    server.kill()
    server.start()
    assert client.list_functions_by_code_signing_config(CodeSigningConfigArn=arn)["FunctionArns"] == [
        "arn:aws:lambda:us-east-1:000000000000:function:signed"
    ]
    with pytest.raises(client.exceptions.ResourceConflictException):
        client.delete_code_signing_config(CodeSigningConfigArn=arn)
    client.delete_function_code_signing_config(FunctionName="signed")
    client.update_function_code(FunctionName="signed", ZipFile=NEW_CODE)
    client.get_waiter("function_updated_v2").wait(FunctionName="signed")
    assert invoke(client, "signed") == 2
    client.delete_code_signing_config(CodeSigningConfigArn=arn)
