"""Functions that name networks, which the embedded EC2 must know, and functions from images, which are only kept."""

from __future__ import annotations

import time
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


def test_an_image_that_no_registry_is_configured_for(neighboured: LambentServer) -> None:
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
    deadline = time.monotonic() + 30
    while (found := client.get_function(FunctionName="imaged"))["Configuration"]["State"] == "Pending":
        assert time.monotonic() < deadline
        time.sleep(0.05)
    assert found["Configuration"]["StateReasonCode"] == "ImageAccessDenied", "nothing leaves the machine by itself"
    assert (found["Code"]["RepositoryType"], found["Code"]["ResolvedImageUri"]) == ("ECR", f"{IMAGE}@sha256:{DIGEST}")
    client.create_alias(FunctionName="imaged", Name="live", FunctionVersion="1")
    for name in ("imaged", "imaged:1", "imaged:live"):
        with pytest.raises(ClientError, match="following state: Failed"):
            client.invoke(FunctionName=name)
