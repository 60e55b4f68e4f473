"""Real brokers for tests, each in a directory and at ports of its own: RabbitMQ and ActiveMQ, with users and TLS."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from abc import ABC, abstractmethod
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey
from cryptography.hazmat.primitives.serialization import pkcs12
from cryptography.x509 import load_pem_x509_certificate

from tests.certificates import self_signed
from tests.running import free_port

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

USER, PASSWORD = "tester", "only-for-these-tests"
START_SECONDS = 120.0


class Broker(ABC):
    """A process with its directory. `port` takes connections without TLS, `tls_port` those with it."""

    def __init__(self, name: str) -> None:
        self.directory = Path(tempfile.mkdtemp(prefix=f"lambent-{name}-"))
        # The daemon, which is nobody in particular, reads the certificate.
        self.directory.chmod(0o755)
        self.port, self.tls_port = free_port(), free_port()
        self.certificate, self.key = self_signed(self.directory)
        self._process: subprocess.Popen[bytes] | None = None
        try:
            self.prepare()
            self.start()
        except BaseException:
            self.remove()
            raise

    @abstractmethod
    def prepare(self) -> None:
        """Write what the process reads."""

    @abstractmethod
    def command(self) -> tuple[list[str], Mapping[str, str]]:
        """Return the command and its environment."""

    @abstractmethod
    def is_answering(self) -> bool:
        """Whether a consumer could come."""

    def start(self) -> None:
        """Start and wait until it answers, after a crash too."""
        command, own = self.command()
        environment = {"PATH": os.environ["PATH"], "HOME": str(self.directory), **own}
        with (self.directory / "output").open("ab") as output:
            self._process = subprocess.Popen(
                command, cwd=self.directory, env=environment,
                stdin=subprocess.DEVNULL, stdout=output, stderr=output, start_new_session=True,
            )  # fmt: skip
        deadline = time.monotonic() + START_SECONDS
        while not self.is_answering():
            assert self._process.poll() is None, self.output()
            assert time.monotonic() < deadline, self.output()
            time.sleep(0.1)

    def kill(self) -> None:
        """SIGKILL it with everything that it started, as a crash would."""
        process, self._process = self._process, None
        if process is not None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()

    def remove(self) -> None:
        """Kill it and remove everything."""
        self.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def output(self) -> str:
        """What it has written, the end of it."""
        return (self.directory / "output").read_text(errors="replace")[-3_000:]


class RabbitMq(Broker):
    """RabbitMQ with the virtual hosts `/` and `plant`. The user `stranger` may read nothing."""

    def __init__(self) -> None:
        # Debian's wrapper in the search path changes to an account of its own; this is the program behind it.
        self._program = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
        if not self._program.exists():
            pytest.skip("no RabbitMQ on this machine")
        self._names, self._peers = free_port(), free_port()
        self._names_process: subprocess.Popen[bytes] | None = None
        super().__init__("rabbitmq")

    def prepare(self) -> None:
        """See Broker."""
        rights = {"configure": ".*", "write": ".*", "read": ".*"}
        definitions = {
            "users": [{"name": name, "password": PASSWORD, "tags": "administrator"} for name in (USER, "stranger")],
            "vhosts": [{"name": "/"}, {"name": "plant"}],
            "permissions": [
                {"user": USER, "vhost": "/", **rights},
                {"user": USER, "vhost": "plant", **rights},
                {"user": "stranger", "vhost": "/", "configure": "", "write": "", "read": ""},
            ],
        }
        (self.directory / "definitions.json").write_text(json.dumps(definitions))
        (self.directory / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{self.port}\n"
            f"listeners.ssl.1 = 127.0.0.1:{self.tls_port}\n"
            f"ssl_options.cacertfile = {self.certificate}\n"
            f"ssl_options.certfile = {self.certificate}\n"
            f"ssl_options.keyfile = {self.key}\n"
            f"load_definitions = {self.directory}/definitions.json\n"
        )
        (self.directory / "enabled_plugins").write_text("[].\n")

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        """See Broker."""
        directory = self.directory
        return [str(self._program)], {
            "RABBITMQ_NODENAME": f"lambent{self.port}@localhost",
            "RABBITMQ_DIST_PORT": str(self._peers),
            "RABBITMQ_CONFIG_FILE": f"{directory}/rabbitmq.conf",
            "RABBITMQ_ENABLED_PLUGINS_FILE": f"{directory}/enabled_plugins",
            "RABBITMQ_MNESIA_BASE": f"{directory}/mnesia",
            "RABBITMQ_LOG_BASE": f"{directory}/log",
            "RABBITMQ_PID_FILE": f"{directory}/pid",
            "RABBITMQ_CONF_ENV_FILE": f"{directory}/none",
            "ERL_EPMD_PORT": str(self._names),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "LC_ALL": "C.UTF-8",
        }

    def start(self) -> None:
        """See Broker."""
        if self._names_process is None:
            # The daemon that knows Erlang's nodes would outlive the node that starts it.
            self._names_process = subprocess.Popen(
                ["epmd", "-port", str(self._names), "-address", "127.0.0.1"],
                stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            )  # fmt: skip
        super().start()

    def remove(self) -> None:
        """See Broker."""
        super().remove()
        if self._names_process is not None:
            self._names_process.kill()
            self._names_process.wait()

    def is_answering(self) -> bool:
        """See Broker: a port is open before anybody answers there."""
        try:
            with socket.create_connection(("127.0.0.1", self.port), timeout=5) as client:
                client.sendall(b"AMQP\0\0\x09\x01")
                return client.recv(1) == b"\x01" and _is_open(self.tls_port)
        except OSError:
            return False


class ActiveMq(Broker):
    """ActiveMQ with STOMP and a durable store. The user `stranger` may read nothing."""

    def __init__(self) -> None:
        self._home = Path("/usr/share/activemq")
        if not self._home.exists() or shutil.which("java") is None:
            pytest.skip("no ActiveMQ on this machine")
        super().__init__("activemq")

    def prepare(self) -> None:
        """See Broker."""
        store = self.directory / "store.p12"
        key = serialization.load_pem_private_key(self.key.read_bytes(), None)
        assert isinstance(key, EllipticCurvePrivateKey)
        certificate = load_pem_x509_certificate(self.certificate.read_bytes())
        secret = serialization.BestAvailableEncryption(PASSWORD.encode())
        store.write_bytes(pkcs12.serialize_key_and_certificates(b"broker", key, certificate, None, secret))
        (self.directory / "activemq.xml").write_text(
            f"""<beans xmlns="http://www.springframework.org/schema/beans"
    xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance" xsi:schemaLocation="
    http://www.springframework.org/schema/beans http://www.springframework.org/schema/beans/spring-beans.xsd
    http://activemq.apache.org/schema/core http://activemq.apache.org/schema/core/activemq-core.xsd">
  <broker xmlns="http://activemq.apache.org/schema/core" brokerName="tests" useJmx="false"
      dataDirectory="{self.directory}/data" schedulerSupport="false">
    <persistenceAdapter><kahaDB directory="{self.directory}/kahadb"/></persistenceAdapter>
    <plugins>
      <simpleAuthenticationPlugin><users>
        <authenticationUser username="{USER}" password="{PASSWORD}" groups="users"/>
        <authenticationUser username="stranger" password="{PASSWORD}" groups="strangers"/>
      </users></simpleAuthenticationPlugin>
      <authorizationPlugin><map><authorizationMap><authorizationEntries>
        <authorizationEntry queue="&gt;" read="users" write="users" admin="users"/>
        <authorizationEntry topic="&gt;" read="users,strangers" write="users,strangers" admin="users,strangers"/>
      </authorizationEntries></authorizationMap></map></authorizationPlugin>
    </plugins>
    <sslContext>
      <sslContext keyStore="file:{store}" keyStoreType="pkcs12" keyStorePassword="{PASSWORD}"/>
    </sslContext>
    <systemUsage><systemUsage>
      <storeUsage><storeUsage limit="1 gb"/></storeUsage><tempUsage><tempUsage limit="1 gb"/></tempUsage>
    </systemUsage></systemUsage>
    <transportConnectors>
      <transportConnector name="stomp" uri="stomp://127.0.0.1:{self.port}"/>
      <transportConnector name="stomps" uri="stomp+ssl://127.0.0.1:{self.tls_port}"/>
    </transportConnectors>
  </broker>
</beans>
"""
        )

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        """See Broker."""
        directory = self.directory
        jars = ":".join((f"{self._home}/lib/*", f"{self._home}/lib/optional/*", "/usr/share/java/*"))
        return [
            "java", "-Xmx256m", f"-Dactivemq.home={self._home}", f"-Dactivemq.base={directory}",
            f"-Dactivemq.data={directory}/data", f"-Dactivemq.conf={directory}", f"-Djava.io.tmpdir={directory}",
            "-cp", jars, "org.apache.activemq.console.Main", "start", f"xbean:file:{directory}/activemq.xml",
        ], {}  # fmt: skip

    def is_answering(self) -> bool:
        """See Broker: a connection is answered when the store is open."""
        try:
            self.exchange(lambda _: None)
        except OSError:
            return False
        return True

    def exchange(self, work: Callable[[StompSocket], None]) -> None:
        """Do some work on a connection of the user `tester`."""
        with StompSocket(self.port) as client:
            work(client)

    def send(self, queue: str, *bodies: bytes, is_text: bool = True, **headers: str) -> None:
        """Send messages that a crash does not lose."""
        with StompSocket(self.port) as client:
            for number, body in enumerate(bodies):
                own = {} if is_text else {"content-length": str(len(body))}
                named = {name.replace("_", "-"): value for name, value in headers.items()}
                receipt = f"sent-{number}"
                head = {"destination": f"/queue/{queue}", "persistent": "true", "receipt": receipt, **own, **named}
                client.write("SEND", head, body)
                assert f"receipt-id:{receipt}" in client.read()

    def take(self, queue: str) -> str:
        """Return the next message of a queue, head and body, and acknowledge it."""
        with StompSocket(self.port) as client:
            client.write("SUBSCRIBE", {"id": "1", "destination": f"/queue/{queue}", "ack": "auto"})
            return client.read()


class StompSocket:
    """A connection that speaks just enough STOMP to send and to look."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=20)
        self._file = self._socket.makefile("rb")

    def __enter__(self) -> StompSocket:
        head = {"accept-version": "1.2", "host": "x", "login": USER, "passcode": PASSWORD}
        self.write("CONNECT", head)
        answer = self.read()
        if not answer.startswith("CONNECTED"):
            raise ConnectionError(answer)
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self._socket.close()

    def write(self, command: str, headers: Mapping[str, str], body: bytes = b"") -> None:
        """Write a frame."""
        head = "".join(f"{name}:{value}\n" for name, value in headers.items())
        self._socket.sendall(f"{command}\n{head}\n".encode() + body + b"\0")

    def read(self) -> str:
        """Return the next frame, without what follows its end."""
        text = b""
        while not text.endswith(b"\0"):
            more = self._file.read(1)
            if not more:
                raise ConnectionError("closed")
            text += more
        return text.rstrip(b"\0").lstrip(b"\n").decode()


def _is_open(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1).close()
    except OSError:
        return False
    return True
