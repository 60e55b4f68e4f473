"""A server of MongoDB's protocol with change streams for tests: mongo-java-server on a file, with users.

No MongoDB can be had from a package registry; this one implements the commands and change streams of version 5.0.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pymongo
import pymongo.errors
import pytest

from tests.brokers import PASSWORD, USER, Broker
from tests.registries import maven_packages

if TYPE_CHECKING:
    from collections.abc import Mapping

_SOURCE = Path(__file__).parent / "scenario" / "sources" / "fixtures" / "Documents.java"
_SERVER = "de.bwaldvogel:mongo-java-server-h2-backend:1.47.0"


class DocumentServer(Broker):
    """One server. What it has answered survives `kill`."""

    def __init__(self) -> None:
        if shutil.which("javac") is None:
            pytest.skip("no JDK on this machine")
        self._jars = maven_packages("mongo-java-server", _SERVER)
        super().__init__("documents")

    def prepare(self) -> None:
        """See Broker."""

    def command(self) -> tuple[list[str], Mapping[str, str]]:
        """See Broker."""
        file = str(self.directory / "documents.db")
        return ["java", "-Xmx256m", "-cp", f"{self._jars}/*", str(_SOURCE), file, str(self.port), USER, PASSWORD], {}

    def client(self) -> Any:
        """Return a client of it."""
        return pymongo.MongoClient(
            f"mongodb://127.0.0.1:{self.port}/", username=USER, password=PASSWORD, serverSelectionTimeoutMS=10_000
        )

    def is_answering(self) -> bool:
        """See Broker."""
        place = f"mongodb://127.0.0.1:{self.port}/"
        client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(place, serverSelectionTimeoutMS=2_000)
        try:
            client.admin.command("ping")
        except pymongo.errors.PyMongoError:
            return False
        finally:
            client.close()
        return True
