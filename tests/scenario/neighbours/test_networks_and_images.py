"""Functions that name networks, which the embedded EC2 must know, and functions from images, which are only kept."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.running import create_function

if TYPE_CHECKING:
    from tests.running import LambentServer

pytestmark = pytest.mark.slow

CODE = {"index.py": "def handler(event, context):\n    return 1\n"}
ROLE = "arn:aws:iam::000000000000:role/r"
IMAGE = "000000000000.dkr.ecr.us-east-1.amazonaws.com/team/app"
DIGEST = "0123456789abcdef" * 4


def refused(client: Any, name: str, **members: Any) -> str:
    with pytest.raises(client.exceptions.InvalidParameterValueException) as refusal:
        create_function(client, name, CODE, **members)
    return str(refusal.value.response["Error"]["Message"])


def test_networks(neighboured: LambentServer) -> None:
    # Source: lambda/test_lambda_api.json, test_invalid_vpc_config_security_group.
    ec2, client = neighboured.client("ec2"), neighboured.client()
    vpc_id = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc_id, CidrBlock="10.0.0.0/24")["Subnet"]["SubnetId"]
    group = ec2.create_security_group(VpcId=vpc_id, GroupName="g", Description="d")["GroupId"]
    networks = {"SubnetIds": [subnet], "SecurityGroupIds": [group]}
    created = create_function(client, "networked", CODE, VpcConfig=networks)
    expected = {**networks, "VpcId": vpc_id, "Ipv6AllowedForDualStack": False}
    assert created["VpcConfig"] == expected
    # What was found is not asked again.
    updated = client.update_function_configuration(FunctionName="networked", Description="d")
    assert updated["VpcConfig"] == expected
    client.get_waiter("function_updated_v2").wait(FunctionName="networked", WaiterConfig={"Delay": 0})
    none: dict[str, list[str]] = {"SubnetIds": [], "SecurityGroupIds": []}
    detached = client.update_function_configuration(FunctionName="networked", VpcConfig=none)
    assert detached["VpcConfig"] == {**none, "VpcId": "", "Ipv6AllowedForDualStack": False}
    nowhere = "sg-00000000000000000"
    assert refused(client, "nowhere", VpcConfig={"SubnetIds": [subnet], "SecurityGroupIds": [nowhere]}) == (
        "Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound. "
        f"EC2 Error Message: The security group '{nowhere}' does not exist"
    )
    missing = "subnet-00000000000000000"
    assert refused(client, "nowhere", VpcConfig={"SubnetIds": [missing], "SecurityGroupIds": [group]}) == (
        "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. "
        f"EC2 Error Message: The subnet ID '{missing}' does not exist"
    )
    assert refused(client, "nowhere", VpcConfig={"SubnetIds": [subnet]}) == (
        "SubnetIds and SecurityIds must coexist or be both empty list."
    )


def test_images(neighboured: LambentServer) -> None:
    client = neighboured.client()
    created = client.create_function(
        FunctionName="imaged",
        Role=ROLE,
        PackageType="Image",
        Code={"ImageUri": f"{IMAGE}@sha256:{DIGEST}"},
        ImageConfig={"Command": ["app.handler"]},
        Publish=True,
    )
    assert (created["Version"], created["CodeSha256"]) == ("1", DIGEST)
    client.get_waiter("function_active_v2").wait(FunctionName="imaged")
    code = client.get_function(FunctionName="imaged", Qualifier="1")["Code"]
    assert (code["RepositoryType"], code["ResolvedImageUri"]) == ("ECR", f"{IMAGE}@sha256:{DIGEST}")
    client.create_alias(FunctionName="imaged", Name="live", FunctionVersion="1")
    client.update_function_code(FunctionName="imaged", ImageUri=f"{IMAGE}:next")
    client.get_waiter("function_updated_v2").wait(FunctionName="imaged")
    assert client.get_function(FunctionName="imaged")["Code"]["ImageUri"] == f"{IMAGE}:next"
    assert client.get_function_configuration(FunctionName="imaged:live")["CodeSha256"] == DIGEST
    for name in ("imaged", "imaged:1", "imaged:live"):
        with pytest.raises(ClientError) as unfinished:
            client.invoke(FunctionName=name)
        assert unfinished.value.response["ResponseMetadata"]["HTTPStatusCode"] == 501
        assert "container images" in unfinished.value.response["Error"]["Message"]
