"""Certificates by the name that a client asks for: made when first asked, kept while there is room."""

from __future__ import annotations

import re
import ssl
import tempfile
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING

from lambent.store.certificates.authority import LEAF_LIFE, NAMES

if TYPE_CHECKING:
    from pathlib import Path

    from cryptography.hazmat.primitives.asymmetric.ec import EllipticCurvePrivateKey

    from lambent.clock import Clock
    from lambent.store.certificates.authority import Authority

_KEPT_MAX = 256
_PREFIX = ".leaf-"
_RENEWED_AFTER_MS = int(LEAF_LIFE.total_seconds() * 1000) // 3
# Buckets may have underscores.
_NAME = re.compile(rf"(?:[a-z0-9_-]{{1,63}}\.)*(?:{'|'.join(map(re.escape, NAMES))})")
_NAME_CHARACTERS_MAX = 253


class LeafCertificates:
    """Scope: process. After a crash: made again. Of names it keeps 256; `directory` is one that nobody else reads."""

    def __init__(self, authority: Authority, directory: Path, clock: Clock) -> None:
        self._authority = authority
        self._directory = directory
        self._clock = clock
        self._kept: OrderedDict[str, tuple[int, ssl.SSLContext]] = OrderedDict()
        self._listening: ssl.SSLContext | None = None
        self._key: EllipticCurvePrivateKey | None = None
        self._lock = threading.Lock()

    def listening(self) -> ssl.SSLContext:
        """Return what a listener speaks TLS by. May block: the first call loads what makes certificates.

        Raises OSError, ValueError.
        """
        with self._lock:
            if self._listening is None:
                for path in self._directory.glob(f"{_PREFIX}*"):
                    # What a crash left in the middle of a certificate.
                    path.unlink(missing_ok=True)
                # For who asks for no name.
                context = self._made(NAMES[0])
                context.sni_callback = self._choose
                self._listening = context
            return self._listening

    def _choose(self, tls: ssl.SSLObject | ssl.SSLSocket, asked: str | None, _: ssl.SSLContext) -> int | None:
        """Give a connection the certificate for the name that it asks for, or refuse."""
        if asked is None:
            return None
        name = asked.lower()
        if len(name) > _NAME_CHARACTERS_MAX or _NAME.fullmatch(name) is None:
            return int(ssl.AlertDescription.ALERT_DESCRIPTION_UNRECOGNIZED_NAME)
        try:
            tls.context = self._context(name)
        except (OSError, ValueError):
            return int(ssl.AlertDescription.ALERT_DESCRIPTION_INTERNAL_ERROR)
        return None

    def _context(self, name: str) -> ssl.SSLContext:
        made_ms, context = self._kept.get(name, (0, None))
        if context is None or self._clock.time_ms() - made_ms > _RENEWED_AFTER_MS:
            context = self._made(name)
            self._kept[name] = self._clock.time_ms(), context
        self._kept.move_to_end(name)
        while len(self._kept) > _KEPT_MAX:
            self._kept.popitem(last=False)
        return context

    def _made(self, name: str) -> ssl.SSLContext:
        from cryptography.hazmat.primitives import serialization
        from cryptography.hazmat.primitives.asymmetric import ec

        if self._key is None:
            self._key = ec.generate_private_key(ec.SECP256R1())
        form = serialization.PrivateFormat.PKCS8
        key = self._key.private_bytes(serialization.Encoding.PEM, form, serialization.NoEncryption())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.minimum_version = ssl.TLSVersion.TLSv1_2
        # Python takes certificates from files only.
        with tempfile.NamedTemporaryFile(dir=self._directory, prefix=_PREFIX) as file:
            file.write(key + self._authority.issue(name, self._key, self._clock))
            file.flush()
            context.load_cert_chain(file.name)
        return context
