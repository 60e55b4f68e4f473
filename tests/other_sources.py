"""Servers of others that speak SQS and Kinesis: ElasticMQ from Maven Central, kinesalite from npm. Loopback only."""

from __future__ import annotations

import contextlib
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
from botocore.config import Config

from tests.registries import maven_packages, npm_packages
from tests.running import clean_environment, free_port

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

ELASTICMQ = "org.elasticmq:elasticmq-server_2.13:1.7.1"
KINESALITE = "kinesalite@3.3.3"
START_SECONDS = 60.0
_CONFIGURATION = """
include classpath("application.conf")
node-address {{ protocol = http, host = "127.0.0.1", port = {port}, context-path = "" }}
rest-sqs {{ enabled = true, bind-port = {port}, bind-hostname = "127.0.0.1", sqs-limits = strict }}
rest-stats {{ enabled = false }}
aws {{ region = us-east-1, accountId = "000000000000" }}
"""


@contextlib.contextmanager
def elasticmq() -> Iterator[str]:
    """Run ElasticMQ; give its address."""
    jars = maven_packages("elasticmq", ELASTICMQ)
    port = free_port()
    with tempfile.NamedTemporaryFile("w", suffix=".conf") as configuration:
        configuration.write(_CONFIGURATION.format(port=port))
        configuration.flush()
        options = ["-Xmx1g", "-XX:TieredStopAtLevel=1", f"-Dconfig.file={configuration.name}"]
        with _running(["java", *options, "-cp", f"{jars}/*", "org.elasticmq.server.Main"], port) as address:
            yield address


@contextlib.contextmanager
def kinesalite() -> Iterator[str]:
    """Run kinesalite; give its address."""
    program = npm_packages("kinesalite", KINESALITE) / "node_modules" / "kinesalite" / "cli.js"
    port = free_port()
    options = ["--createStreamMs", "20", "--updateStreamMs", "20", "--deleteStreamMs", "20", "--shardLimit", "50"]
    with _running(["node", str(program), "--port", str(port), *options], port) as address:
        yield address


def client_of(service: str, address: str) -> Any:
    """Return a boto3 client of such a server."""
    return boto3.client(
        service,
        endpoint_url=address,
        region_name="us-east-1",
        aws_access_key_id="000000000000",
        aws_secret_access_key="test",
        config=Config(retries={"total_max_attempts": 1}, max_pool_connections=32),
    )


@contextlib.contextmanager
def _running(command: Sequence[str], port: int) -> Iterator[str]:
    with tempfile.TemporaryFile() as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=clean_environment(), cwd=Path("/")
        )
        try:
            deadline = time.monotonic() + START_SECONDS
            while not _answers(port):
                if process.poll() is not None or time.monotonic() > deadline:
                    output.seek(0)
                    raise AssertionError(f"{command[0]} does not serve: {output.read()[-3_000:]!r}")
                time.sleep(0.1)
            yield f"http://127.0.0.1:{port}"
        finally:
            process.kill()
            process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), 1).close()
    except OSError:
        return False
    return True
