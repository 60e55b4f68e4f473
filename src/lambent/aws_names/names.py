"""Which of AWS's names lead to us inside sandboxes, who vouches for us there, and what we speak TLS by."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING

from lambent.store.certificates import Authority, LeafCertificates, lay_out_trust
from lambent.wire.addressing import is_api_host

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from lambent.clock import Clock

_log = logging.getLogger(__name__)
INTERCEPT = "intercept"
_HOST = Path("/")
_NOT_LED = "names of amazonaws.com lead to AWS inside functions"


class AwsNames:
    """Scope: installation; what it makes is kept in the data directory. `setting` is network.amazonaws."""

    def __init__(self, data_directory: Path, clock: Clock, setting: str) -> None:
        self._directory = data_directory
        self._clock = clock
        self._is_wanted = setting == INTERCEPT
        self._leaves: LeafCertificates | None = None

    @property
    def is_led(self) -> Callable[[str], bool] | None:
        """Says of a name whether it leads to us; None when no name does."""
        return is_api_host if self._leaves is not None else None

    def prepare(self) -> Callable[[str], bool] | None:
        """Make what sandboxes shall trust, before there is one; return `is_led`. Blocks.

        Without it AWS's names lead to AWS.
        """
        if self._is_wanted:
            self._make()
        return self.is_led

    def _make(self) -> None:
        keys = self._directory / "keys"
        try:
            authority = Authority.open(keys, self._clock)
            if not lay_out_trust(self._directory / "trust", authority, _HOST):
                _log.warning("this machine has no certificates (package ca-certificates): %s", _NOT_LED)
                return
        except OSError as error:
            _log.warning("the certificates of functions cannot be written: %s: %s", error, _NOT_LED)
            return
        self._leaves = LeafCertificates(authority, keys, self._clock)

    def tls(self) -> ssl.SSLContext:
        """Return what we speak TLS by under these names. May block. Raises OSError, ValueError."""
        if self._leaves is None:
            raise ValueError("AWS's names do not lead here")
        return self._leaves.listening()
