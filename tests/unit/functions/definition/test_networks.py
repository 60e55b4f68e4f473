"""VpcConfig: what EC2 says about it, in the words of AWS Lambda."""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

import pytest

from lambent.functions import Ec2Networks
from lambent.model.caller import Caller
from lambent.model.errors import LambdaError
from lambent.model.function import CodeReference, FunctionVersion, VpcConfig
from lambent.wire.client import CallError, OutwardClient, Principal
from lambent.wire.error_forms import NeighbourError

if TYPE_CHECKING:
    from collections.abc import Mapping

CALLER = Caller("111122223333", "eu-west-1", "arn", "r", "http://localhost")


def function(vpc: VpcConfig | None) -> FunctionVersion:
    return FunctionVersion("111122223333", "eu-west-1", "f", "r", CodeReference("", 0, 0), "c", "r", 0, vpc=vpc)


class Ec2:
    """Knows one network. `error` is what it answers instead."""

    def __init__(self, error: Exception | None = None) -> None:
        self.calls: list[tuple[str, dict[str, str]]] = []
        self.error = error

    async def query(self, asked: str, action: str, parameters: Mapping[str, str], principal: Principal) -> str:
        assert (asked, principal) == ("ec2", Principal("111122223333", "eu-west-1"))
        self.calls.append((action, dict(parameters)))
        if self.error is not None:
            raise self.error
        if "sg-none" in parameters.values():
            raise CallError("InvalidGroup.NotFound", "The security group 'sg-none' does not exist", 400)
        if "subnet-none" in parameters.values():
            raise CallError("InvalidSubnetID.NotFound", "The subnet ID 'subnet-none' does not exist", 400)
        return "<subnetSet><item><subnetId>subnet-1</subnetId><vpcId>vpc-1</vpcId></item></subnetSet>"


async def attached(vpc: VpcConfig | None, ec2: Ec2 | None = None) -> VpcConfig | None:
    networks = Ec2Networks(cast("OutwardClient", ec2 or Ec2()))
    return (await networks.attached(CALLER, function(vpc))).vpc


async def refused(vpc: VpcConfig, ec2: Ec2 | None = None) -> tuple[str, str]:
    with pytest.raises(LambdaError) as refusal:
        await attached(vpc, ec2)
    return refusal.value.code, refusal.value.message


async def test_the_vpc_of_the_subnets() -> None:
    ec2 = Ec2()
    vpc = await attached(VpcConfig(("subnet-1", "subnet-2"), ("sg-1",)), ec2)
    assert vpc is not None
    assert vpc.vpc_id == "vpc-1"
    # Source: recorded (test_invalid_vpc_config_security_group): groups are looked at first.
    assert ec2.calls == [
        ("DescribeSecurityGroups", {"GroupId.1": "sg-1", "Version": "2016-11-15"}),
        ("DescribeSubnets", {"SubnetId.1": "subnet-1", "SubnetId.2": "subnet-2", "Version": "2016-11-15"}),
    ]
    assert await attached(vpc, ec2) == vpc
    assert len(ec2.calls) == 2


async def test_without_networks_nobody_is_asked() -> None:
    ec2 = Ec2()
    assert await attached(None, ec2) is None
    assert await attached(VpcConfig(), ec2) == VpcConfig(vpc_id="")
    assert ec2.calls == []


async def test_refusals() -> None:
    invalid = "InvalidParameterValueException"
    assert await refused(VpcConfig(("subnet-none",), ("sg-none",))) == (
        invalid,
        "Error occurred while DescribeSecurityGroups. EC2 Error Code: InvalidGroup.NotFound. "
        "EC2 Error Message: The security group 'sg-none' does not exist",
    )
    assert await refused(VpcConfig(("subnet-none",), ("sg-1",))) == (
        invalid,
        "Error occurred while DescribeSubnets. EC2 Error Code: InvalidSubnetID.NotFound. "
        "EC2 Error Message: The subnet ID 'subnet-none' does not exist",
    )
    for half in (VpcConfig(("subnet-1",)), VpcConfig((), ("sg-1",))):
        assert await refused(half) == (invalid, "SubnetIds and SecurityIds must coexist or be both empty list.")


async def test_an_ec2_that_is_not_there_or_fails() -> None:
    given = VpcConfig(("subnet-1",), ("sg-1",))
    off = await attached(given, Ec2(NeighbourError("NotImplementedException", "switched off", 501)))
    assert off is not None
    assert off.vpc_id == ""
    for error in (NeighbourError("ServiceUnavailable", "gone", 503), CallError("InternalError", "oops", 500)):
        assert (await refused(given, Ec2(error)))[0] == "ServiceException"
