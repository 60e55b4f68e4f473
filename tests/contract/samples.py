"""Right values for the members of AWS's requests, found by the constraints of the service description."""

from __future__ import annotations

import re
from typing import Any

from botocore.loaders import Loader

SERVICE: dict[str, Any] = Loader().load_service_model("lambda", "service-2")
SHAPES: dict[str, Any] = SERVICE["shapes"]
ARN = "arn:aws:lambda:us-east-1:000000000000"
ROLE = "arn:aws:iam::000000000000:role/r"
# Each member takes the first of these that its pattern and bounds allow.
SAMPLES = (
    "f", "1", "live", "a-name", "arn:aws:sqs:us-east-1:000000000000:q", f"{ARN}:function:f", f"{ARN}:layer:f:1", ROLE,
    f"{ARN}:capacity-provider:f", f"{ARN}:code-signing-config:csc-0123456789abcdef0", "a.b", "us-east-1", "bucket",
    f"{ARN}:function:f:1/durable-execution/a/b", "11111111-2222-4333-8444-555555555555", "o-0123456789", "000000000000",
    "arn:aws:kms:us-east-1:000000000000:key/11111111-2222-4333-8444-555555555555", "/mnt/a", "subnet-0123", "sg-0123",
    "arn:aws:signer:us-east-1:000000000000:/signing-profiles/p/0123456789", "lambda:InvokeFunction", "broker:9092",
    "arn:aws:elasticfilesystem:us-east-1:000000000000:access-point/fsap-0123456789abcdef0", "ALL", "$LATEST",
    f"arn:aws:lambda:us-east-1::runtime:{'0' * 64}", "*", "{}", "2026-01-01", "https://registry.example",
    "s3.amazonaws.com",
)  # fmt: skip
BY_SHAPE = {"Runtime": "python3.12", "Blob": "UEsFBgAAAAAAAAAAAAAAAAAAAAAAAA==", "BinaryOperationPayload": "e30="}


def sample(name: str, depth: int = 0) -> Any:
    """Return a value that keeps the constraints of a shape; of a structure what is required."""
    shape = SHAPES[name]
    kind = shape["type"]
    if name in BY_SHAPE:
        return BY_SHAPE[name]
    if kind == "structure":
        wanted = shape.get("required", ()) if depth else shape["members"]
        if depth > 4:
            return {}
        return {member: sample(shape["members"][member]["shape"], depth + 1) for member in wanted}
    if kind == "list":
        return [sample(shape["member"]["shape"], depth + 1)] * max(shape.get("min", 0), 1)
    if kind == "map":
        return {sample(shape["key"]["shape"]): sample(shape["value"]["shape"], depth + 1)}
    if kind in ("integer", "long"):
        return max(shape.get("min", 1), 1)
    if kind != "string":
        return {"boolean": False, "blob": "e30=", "timestamp": 1_700_000_000, "double": 1.0}[kind]
    return shape["enum"][0] if "enum" in shape else sample_text(shape)


def sample_text(shape: dict[str, Any]) -> str:
    """Return a text that keeps the bounds and the pattern of a shape."""
    for text in SAMPLES:
        pattern = shape.get("pattern", ".*").replace(r"\p{L}", "a-z").replace(r"\p{N}", "0-9").replace(r"\p{Z}", " ")
        if shape.get("min", 0) <= len(text) <= shape.get("max", 10_000) and re.fullmatch(pattern, text):
            return text
    return "a" * int(shape.get("min", 1))
