"""What a template names on this machine: packed where it is a folder, uploaded, and named by its place in S3."""

from __future__ import annotations

import hashlib
import json
import os
import stat
import tempfile
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Literal, Protocol, TypeGuard

from msgspec import Struct

from lambent.cli.deployment.templates import SERVERLESS, declares, read_template
from lambent.cli.failure import CommandError

if TYPE_CHECKING:
    from collections.abc import Iterator

    from lambent.cli.deployment.templates import Template

# What belongs to tools and not to a function.
_LEFT_OUT = frozenset({".git", ".aws-sam", "__pycache__", ".venv", ".mypy_cache", ".pytest_cache", ".DS_Store"})
_EPOCH = (1980, 1, 1, 0, 0, 0)
_PIECE_BYTES = 1 << 20
_NESTING_MAX = 8


class Artifact(Struct, frozen=True):
    """A property that may name a file: how it is packed and how S3 is named there.

    `form`: "uri" (s3://bucket/key), "url" (of a nested template), or the names of bucket's and key's members.
    """

    name: str
    form: Literal["uri", "url"] | tuple[str, str]
    is_packed: bool = False
    is_wanted: bool = False


# Source: AWS CLI command reference, "cloudformation package": what it uploads.
_ARTIFACTS: dict[str, tuple[Artifact, ...]] = {
    "AWS::Serverless::Function": (Artifact("CodeUri", "uri", is_packed=True, is_wanted=True),),
    "AWS::Lambda::Function": (Artifact("Code", ("S3Bucket", "S3Key"), is_packed=True, is_wanted=True),),
    "AWS::Serverless::LayerVersion": (Artifact("ContentUri", "uri", is_packed=True),),
    "AWS::Lambda::LayerVersion": (Artifact("Content", ("S3Bucket", "S3Key"), is_packed=True),),
    "AWS::Serverless::Api": (Artifact("DefinitionUri", "uri"),),
    "AWS::Serverless::HttpApi": (Artifact("DefinitionUri", "uri"),),
    "AWS::Serverless::StateMachine": (Artifact("DefinitionUri", "uri"),),
    "AWS::ApiGateway::RestApi": (Artifact("BodyS3Location", ("Bucket", "Key")),),
    "AWS::ApiGatewayV2::Api": (Artifact("BodyS3Location", ("Bucket", "Key")),),
    "AWS::StepFunctions::StateMachine": (Artifact("DefinitionS3Location", ("Bucket", "Key")),),
    "AWS::AppSync::GraphQLSchema": (Artifact("DefinitionS3Location", "uri"),),
    "AWS::AppSync::Resolver": (
        Artifact("RequestMappingTemplateS3Location", "uri"),
        Artifact("ResponseMappingTemplateS3Location", "uri"),
    ),
    "AWS::Serverless::Application": (Artifact("Location", "url"),),
    "AWS::CloudFormation::Stack": (Artifact("TemplateURL", "url"),),
}


class Store(Protocol):
    """Where packages go."""

    bucket: str

    def put(self, path: Path, key: str) -> None:
        """Upload a file, if it is not there yet."""

    def url(self, key: str) -> str:
        """Return the address at which CloudFormation reads an object."""


class Packer:
    """Packs and uploads what a template names. `folder`: of temporary files."""

    def __init__(self, store: Store, folder: Path) -> None:
        self._store = store
        self._folder = folder
        self._uploaded: dict[tuple[Path, bool], str] = {}

    def upload(self, path: Path, depth: int = 0) -> str:
        """Upload a template with all it names; return its address. Raises CommandError."""
        if depth > _NESTING_MAX:
            raise CommandError(f"{path}: templates name each other more than {_NESTING_MAX} deep.")
        template = read_template(path)
        self._globals(template, path)
        for name, resource in template["Resources"].items():
            for artifact in _ARTIFACTS.get(resource.get("Type", ""), ()) if isinstance(resource, dict) else ():
                self._place(template, (path, name, depth), resource, artifact)
        self._includes(template, path)
        content = json.dumps(template, indent=1).encode()
        key = f"{hashlib.sha256(content).hexdigest()}.template"
        with tempfile.NamedTemporaryFile(dir=self._folder) as file:
            file.write(content)
            file.flush()
            self._store.put(Path(file.name), key)
        return self._store.url(key)

    def _globals(self, template: Template, path: Path) -> None:
        section = template.get("Globals")
        function = section.get("Function") if isinstance(section, dict) else None
        if isinstance(function, dict) and _is_local(function.get("CodeUri")):
            function["CodeUri"] = self._uri(_there(path, function["CodeUri"], "Globals"), is_packed=True)

    def _place(self, template: Template, place: tuple[Path, str, int], resource: Template, artifact: Artifact) -> None:
        path, name, depth = place
        properties = resource.setdefault("Properties", {})
        if not isinstance(properties, dict):
            return
        value = properties.get(artifact.name)
        if value is None and artifact.is_wanted and _is_missing(template, resource, path, name):
            value = "."
        if not _is_local(value):
            return
        found = _there(path, value, f"{artifact.name} of {name}")
        if artifact.form == "url":
            properties[artifact.name] = self.upload(found, depth + 1)
        elif artifact.form == "uri":
            properties[artifact.name] = self._uri(found, artifact.is_packed)
        else:
            bucket, key = artifact.form
            properties[artifact.name] = {bucket: self._store.bucket, key: self._key(found, artifact.is_packed)}

    def _includes(self, node: object, path: Path) -> None:
        """Upload what AWS::Include names, wherever it stands."""
        if isinstance(node, list):
            for one in node:
                self._includes(one, path)
        if not isinstance(node, dict):
            return
        spec = node.get("Fn::Transform")
        if isinstance(spec, dict) and spec.get("Name") == "AWS::Include":
            parameters = spec.get("Parameters") or {}
            if _is_local(parameters.get("Location")):
                found = _there(path, parameters["Location"], "Location of AWS::Include")
                parameters["Location"] = self._uri(found, is_packed=False)
        for one in node.values():
            self._includes(one, path)

    def _uri(self, found: Path, is_packed: bool) -> str:
        return f"s3://{self._store.bucket}/{self._key(found, is_packed)}"

    def _key(self, found: Path, is_packed: bool) -> str:
        """Upload a file or a folder and return its key, which follows from its content."""
        place = (found.resolve(), is_packed)
        if place in self._uploaded:
            return self._uploaded[place]
        if found.is_dir() and not is_packed:
            raise CommandError(f"{found} is a folder; a file is wanted.")
        if is_packed and not zipfile.is_zipfile(found):
            with tempfile.NamedTemporaryFile(dir=self._folder) as file:
                packed = Path(file.name)
                pack(found, packed)
                key = _digest(packed)
                self._store.put(packed, key)
        else:
            key = _digest(found) + ("" if is_packed else found.suffix)
            self._store.put(found, key)
        self._uploaded[place] = key
        return key


def pack(found: Path, target: Path) -> None:
    """Write a file, or what is below a folder, as a ZIP whose bytes depend on names, modes and contents alone.

    Raises CommandError for an empty folder.
    """
    files = sorted(_files(found), key=lambda one: one[0]) if found.is_dir() else [(found.name, found)]
    if not files:
        raise CommandError(f"{found} is empty: there is nothing to deploy.")
    with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED, compresslevel=6) as archive:
        for name, path in files:
            member = zipfile.ZipInfo(name, _EPOCH)
            member.compress_type = zipfile.ZIP_DEFLATED
            mode = 0o755 if path.stat().st_mode & stat.S_IXUSR else 0o644
            member.external_attr = (stat.S_IFREG | mode) << 16
            with path.open("rb") as content, archive.open(member, "w", force_zip64=True) as written:
                while piece := content.read(_PIECE_BYTES):
                    written.write(piece)


def _files(folder: Path) -> Iterator[tuple[str, Path]]:
    for directory, names, files in os.walk(folder, followlinks=True):
        names[:] = sorted(name for name in names if name not in _LEFT_OUT)
        for name in files:
            path = Path(directory, name)
            if name not in _LEFT_OUT and path.is_file():
                yield path.relative_to(folder).as_posix(), path


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _is_local(value: object) -> TypeGuard[str]:
    return isinstance(value, str) and not value.startswith(("s3://", "https://", "http://", "arn:"))


def _there(template: Path, value: str, what: str) -> Path:
    """Return what a template names, which is meant from its own folder. Raises CommandError."""
    found = template.parent / value
    if not found.exists():
        raise CommandError(f"{template}: {what} names {value}, and {found} does not exist.")
    return found


def _is_missing(template: Template, resource: Template, path: Path, name: str) -> bool:
    """Whether a function has no code at all, so that the template's folder is meant."""
    properties = resource["Properties"]
    section = template.get("Globals") or {}
    shared = section.get("Function") if isinstance(section, dict) and declares(template, SERVERLESS) else None
    has_image = "ImageUri" in properties or properties.get("PackageType") == "Image"
    if not isinstance(shared, dict):
        shared = {}
    if "ImageUri" not in properties and (has_image or shared.get("PackageType") == "Image"):
        raise CommandError(
            f"{path}: {name} is an image without ImageUri: build it, bring it with 'lambent images import' and name it."
        )
    return not (has_image or "InlineCode" in properties or "CodeUri" in shared or "ImageUri" in shared)
