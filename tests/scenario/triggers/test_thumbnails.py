"""A picture in one bucket makes a small one in another; when it goes, the small one goes."""

from __future__ import annotations

import struct
import zlib
from typing import TYPE_CHECKING, Any

import pytest
from botocore.exceptions import ClientError

from tests.examples.deployment import deploy, with_packages
from tests.scenario.triggers.conftest import ACCOUNT, function_arn, permit, wait_until

if TYPE_CHECKING:
    from pathlib import Path

    from tests.running import LambentServer

pytestmark = pytest.mark.long

_CODE = """
import io, os, urllib.parse
import boto3
from PIL import Image

s3 = boto3.client("s3")

def handler(event, context):
    for record in event["Records"]:
        bucket = record["s3"]["bucket"]["name"]
        key = urllib.parse.unquote_plus(record["s3"]["object"]["key"])
        if record["eventName"].startswith("ObjectRemoved"):
            s3.delete_object(Bucket=os.environ["SMALL"], Key=key)
            continue
        picture = Image.open(io.BytesIO(s3.get_object(Bucket=bucket, Key=key)["Body"].read()))
        picture.thumbnail((64, 64))
        made = io.BytesIO()
        picture.save(made, "PNG")
        s3.put_object(Bucket=os.environ["SMALL"], Key=key, Body=made.getvalue(), ContentType="image/png")
"""


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    rows = b"".join(b"\0" + bytes([row % 256, 80, 160]) * width for row in range(height))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


def _size(s3: Any, key: str) -> tuple[int, int] | None:
    try:
        body = s3.get_object(Bucket="small", Key=key)["Body"].read()
    except ClientError:
        return None
    return struct.unpack(">II", body[16:24])


def test_pictures_have_thumbnails(triggered: LambentServer, tmp_path: Path) -> None:
    package = with_packages("image-resize", tmp_path / "package")
    (package / "thumbnails.py").write_text(_CODE)
    environment = {"Variables": {"SMALL": "small"}}
    client, s3 = triggered.client(), triggered.client("s3")
    deploy(client, "thumbnails", package, Handler="thumbnails.handler", MemorySize=512, Environment=environment)
    for bucket in ("large", "small"):
        s3.create_bucket(Bucket=bucket)
    permit(triggered, "thumbnails", "s3.amazonaws.com", "arn:aws:s3:::large", SourceAccount=ACCOUNT)
    configuration = {
        "LambdaFunctionArn": function_arn("thumbnails"), "Events": ["s3:ObjectCreated:*", "s3:ObjectRemoved:*"],
        "Filter": {"Key": {"FilterRules": [{"Name": "suffix", "Value": ".png"}]}},
    }  # fmt: skip
    s3.put_bucket_notification_configuration(
        Bucket="large", NotificationConfiguration={"LambdaFunctionConfigurations": [configuration]}
    )
    for key in ("holiday/sea 1.png", "holiday/sea+2.png"):
        s3.put_object(Bucket="large", Key=key, Body=_png(640, 320))
        wait_until(lambda key=key: _size(s3, key) == (64, 32), f"the thumbnail of {key}")  # type: ignore[misc]
    s3.delete_object(Bucket="large", Key="holiday/sea 1.png")
    wait_until(lambda: _size(s3, "holiday/sea 1.png") is None, "the thumbnail goes")
    assert _size(s3, "holiday/sea+2.png") == (64, 32)
