"""Settings of what calls functions: two sections of settings.py, apart for its length."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.setting_bounds import Bounds, check_url, setting


@dataclass(frozen=True, slots=True)
class CodeCommitSettings:
    """Repositories of CodeCommit."""

    directory: str = setting(
        "", "Where they lie, which several daemons may share. Empty: in the data directory.", "directory"
    )


@dataclass(frozen=True, slots=True)
class AlexaSettings:
    """Skill requests that Alexa sends to /_lambent/v1/alexa/FUNCTION."""

    verify: bool = setting(True, "Check certificate, signature and time of a request. false is for tests.")
    tolerance_seconds: int = setting(
        150, "How far a request's time may be from ours; Alexa demands 150 at most.", "seconds", Bounds(1, 3_600)
    )
    certificates_at: str = setting(
        "https://s3.amazonaws.com", "Where the certificates are fetched that requests name.", "URL",
        Bounds(check=check_url, text="an http or https URL"),
    )  # fmt: skip
    roots: str = setting("", "Certificates to trust, in PEM. Empty: this machine's.", "file")
