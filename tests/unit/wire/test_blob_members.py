"""Blobs leave a document for files of their own."""

from __future__ import annotations

import base64
import hashlib
import json
from pathlib import Path

import pytest

from lambent.wire.api_description import ApiDescription
from lambent.wire.blob_members import extract_blobs, has_blobs
from lambent.wire.rest_json import RequestError


def test_a_nested_blob(tmp_path: Path) -> None:
    text = base64.b64encode(b"zip").decode()
    body = json.dumps({"FunctionName": "f", "Code": {"ZipFile": text, "S3Key": "k"}}).encode()
    document, blobs = extract_blobs(body, "create_function", str(tmp_path))
    assert json.loads(document) == {"FunctionName": "f", "Code": {"S3Key": "k"}}
    assert list(blobs) == ["Code.ZipFile"]
    blob = blobs["Code.ZipFile"]
    assert Path(blob.path).read_bytes() == b"zip"
    assert (blob.size_bytes, blob.sha256) == (3, hashlib.sha256(b"zip").hexdigest())
    assert Path(blob.path).parent == tmp_path


@pytest.mark.parametrize("body", [b'{"ZipFile": "%"}', b"{", b'{"ZipFile": "AAA"}'])
def test_a_refusal_leaves_nothing(tmp_path: Path, body: bytes) -> None:
    with pytest.raises(RequestError):
        extract_blobs(body, "update_function_code", str(tmp_path))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("body", [b"[]", b"null", b'{"ZipFile": 1}', b'{"Code": []}'])
def test_other_forms_pass_through_to_be_judged(tmp_path: Path, body: bytes) -> None:
    document, blobs = extract_blobs(body, "update_function_code", str(tmp_path))
    assert json.loads(document) == json.loads(body)
    assert blobs == {}


def test_which_operations_have_blobs() -> None:
    names = {one.name for one in ApiDescription().operations() if has_blobs(one.shapes().INPUT)}
    assert {"CreateFunction", "UpdateFunctionCode", "PublishLayerVersion"} <= names
    assert not names & {"ListFunctions", "TagResource", "UpdateFunctionConfiguration"}
