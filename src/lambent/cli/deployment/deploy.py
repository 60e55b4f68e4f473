"""`lambent deploy [TEMPLATE]`: package, upload, preview, change, follow, print what the stack answers with."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lambent.cli.deployment.addresses import address_here
from lambent.cli.deployment.display import DeploymentBar, UploadBar, preview
from lambent.cli.deployment.packages import Packer
from lambent.cli.deployment.stacks import DeployedStack, Request
from lambent.cli.deployment.templates import find_template, read_template, stack_name_of
from lambent.cli.failure import CommandError
from lambent.clock import SystemClock
from lambent.settings import read_client_environment

if TYPE_CHECKING:
    import argparse

    from lambent.cli.deployment.stacks import Change


def run_deploy(parsed: argparse.Namespace) -> int:
    """Bring the stack to what the template says and print its outputs; return 0.

    Raises:
        CommandError: the template or what it names cannot be read, the server refuses, nobody confirmed, or the stack
            was rolled back.
    """
    from botocore.exceptions import BotoCoreError, ClientError

    path = find_template(parsed.template)
    template = read_template(path)
    known = set(template.get("Parameters") or {})
    given = assignments(parsed.parameter_overrides, "--parameter-overrides")
    unknown = sorted(set(given) - known)
    if unknown:
        names = ", ".join(sorted(known)) or "none"
        raise CommandError(f"{path} has no parameter {', '.join(unknown)}; its parameters: {names}.")
    name = parsed.stack_name or stack_name_of(path)
    clients = Clients(parsed)
    try:
        stack = DeployedStack(clients.client("cloudformation"), name, str(SystemClock().time_ms()))
        stack.prepare()
        with tempfile.TemporaryDirectory() as folder:
            url = Packer(Bucket(clients, parsed.s3_bucket), Path(folder)).upload(path)
        changes = stack.plan(Request(url, given, assignments(parsed.tags, "--tags")), known)
        if not changes:
            print(f"{name} is as the template says: nothing to change.", file=sys.stderr)
        else:
            print(preview(name, changes), file=sys.stderr)
            if parsed.preview:
                stack.forget()
                return 0
            _deploy(parsed, stack, changes)
        for key, value in stack.outputs().items():
            print(f"{key} = {value}", flush=True)
            here = address_here(value, clients.url)
            if here is not None:
                print(f"  here: {here}", file=sys.stderr)
    except ClientError as error:
        raise CommandError(str(error.response["Error"].get("Message") or error)) from error
    except BotoCoreError as error:
        raise CommandError(f"no answer from {clients.url}: {error}") from error
    return 0


def _deploy(parsed: argparse.Namespace, stack: DeployedStack, changes: list[Change]) -> None:
    if not parsed.yes and sys.stdin.isatty():
        print("Deploy these changes? [y/N] ", end="", file=sys.stderr, flush=True)
        if sys.stdin.readline().strip().lower() not in ("y", "yes"):
            stack.forget()
            raise CommandError("nothing was changed.")
    bar = DeploymentBar()
    try:
        stack.execute(len(changes), bar)
    finally:
        bar.end()


def assignments(given: list[str] | None, option: str) -> dict[str, str]:
    """Return NAME=VALUE words as a mapping. Raises CommandError."""
    found = {}
    for text in given or ():
        name, equals, value = text.partition("=")
        if not equals or not name:
            raise CommandError(f"{option} takes NAME=VALUE, not {text!r}.")
        found[name] = value
    return found


class Clients:
    """boto3's clients of the server that the options or the environment name."""

    def __init__(self, parsed: argparse.Namespace) -> None:
        around = read_client_environment()
        self.url = (parsed.endpoint_url or around.endpoint_url).rstrip("/")
        self.region = parsed.region or around.region
        self._around = around

    def client(self, service: str) -> Any:
        """Return a client of a service."""
        import boto3
        from botocore.config import Config

        config = Config(s3={"addressing_style": "path"}, connect_timeout=10, retries={"total_max_attempts": 3})
        return boto3.client(
            service, endpoint_url=self.url, region_name=self.region, config=config,
            aws_access_key_id=self._around.access_key_id, aws_secret_access_key=self._around.secret_access_key,
            aws_session_token=self._around.session_token,
        )  # fmt: skip


class Bucket:
    """The bucket of packages, made when there is none: of account and region, or the one that was named."""

    def __init__(self, clients: Clients, name: str | None) -> None:
        self._clients = clients
        self._client = clients.client("s3")
        self._bar = UploadBar()
        account = "" if name else clients.client("sts").get_caller_identity()["Account"]
        self.bucket = name or f"lambent-deployments-{account}-{clients.region}"
        if not self._has():
            self._make()

    def put(self, path: Path, key: str) -> None:
        """Upload a file unless its content, which its key follows from, is there."""
        if self._has(key):
            return
        size = path.stat().st_size
        with path.open("rb") as file:
            self._client.upload_fileobj(file, self.bucket, key, Callback=self._bar.counting(key, size))
        self._bar.end(key, size)

    def url(self, key: str) -> str:
        """Return an object's address."""
        return f"{self._clients.url}/{self.bucket}/{key}"

    def _has(self, key: str | None = None) -> bool:
        from botocore.exceptions import ClientError

        try:
            if key is None:
                self._client.head_bucket(Bucket=self.bucket)
            else:
                self._client.head_object(Bucket=self.bucket, Key=key)
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                return False
            raise
        return True

    def _make(self) -> None:
        region = self._clients.region
        where = {} if region == "us-east-1" else {"CreateBucketConfiguration": {"LocationConstraint": region}}
        self._client.create_bucket(Bucket=self.bucket, **where)
