"""What an invocation needs before it may run."""

from __future__ import annotations

import re

import pytest
from msgspec.structs import replace

from lambent.clock import SystemClock
from lambent.invocation import Admission
from lambent.model.arn import FunctionArn
from lambent.model.errors import InvalidParameterValueError, NotImplementedHereError, ResourceConflictError
from lambent.model.function import CodeReference, DurableConfig, FunctionState, FunctionVersion, PackageType
from lambent.model.invocation import InvokeRequest

VERSION = FunctionVersion(
    account_id="000000000000",
    region="us-east-1",
    name="f",
    role="r",
    code=CodeReference("0" * 64, 1, 1),
    configuration_id="c",
    revision_id="r",
    last_modified_ms=0,
)
REQUEST = InvokeRequest(FunctionArn("000000000000", "us-east-1", "f", "$LATEST"), "id", b"{}")


def admission() -> Admission:
    return Admission(SystemClock(), lambda count: b"\xab" * count)


def test_the_arn_is_the_caller_s() -> None:
    invocation = admission().admit(REQUEST, VERSION)
    assert invocation.invoked_arn == "arn:aws:lambda:us-east-1:000000000000:function:f:$LATEST"
    trace = r"Root=1-[0-9a-f]{8}-(ab){12};Parent=(ab){8};Sampled=0;Lineage=1:[0-9a-f]{8}:0"
    assert re.fullmatch(trace, invocation.trace_header)


def test_a_trace_header_is_kept_unless_it_is_none() -> None:
    kept = admission().admit(replace(REQUEST, trace_header="Root=1-5e1b4151-5ac6c58f5daaf4a4a5b3c6f2"), VERSION)
    assert re.fullmatch(r"Root=1-5e1b4151-5ac6c58f5daaf4a4a5b3c6f2;Lineage=1:[0-9a-f]{8}:0", kept.trace_header)
    made = admission().admit(replace(REQUEST, trace_header="nonsense\n"), VERSION)
    assert made.trace_header.startswith("Root=1-")


@pytest.mark.parametrize("state", [state for state in FunctionState if state is not FunctionState.ACTIVE])
def test_a_function_that_is_not_active(state: FunctionState) -> None:
    with pytest.raises(ResourceConflictError, match=f"following state: {state.value}"):
        admission().admit(REQUEST, replace(VERSION, state=state))


def test_a_function_made_from_an_image() -> None:
    version = replace(VERSION, package_type=PackageType.IMAGE, image_uri="app:1")
    assert admission().admit(REQUEST, version).version is version


def test_an_inactive_function_is_refused_and_woken() -> None:
    woken: list[FunctionVersion] = []
    asleep = replace(VERSION, state=FunctionState.INACTIVE)
    with pytest.raises(ResourceConflictError, match="following state: Inactive"):
        Admission(SystemClock(), bytes, woken.append).admit(REQUEST, asleep)
    assert woken == [asleep]


def test_durable_functions_and_tenants() -> None:
    with pytest.raises(NotImplementedHereError, match="Durable functions"):
        admission().admit(REQUEST, replace(VERSION, durable=DurableConfig(14)))
    with pytest.raises(InvalidParameterValueError, match="Add a valid tenant ID"):
        admission().admit(REQUEST, replace(VERSION, tenant_isolation_mode="PER_TENANT"))
