"""Settings of asynchronous invocation and of what calls functions: sections of settings.py, apart for its length."""

from __future__ import annotations

from dataclasses import dataclass

from lambent.setting_bounds import Bounds, check_broker, check_url, setting

_GIB = 1024**3


@dataclass(frozen=True, slots=True)
class AsyncSettings:
    """Events that wait for their function."""

    retry_base_seconds: float = setting(
        60.0,
        "What stands for AWS's minute: a failed event is tried again after one, then two. Shorter for tests.",
        "seconds",
        Bounds(0.01, 600.0, text="0.01 to 600"),
    )
    attempts_max: int = setting(
        128, "Events that this daemon tries at one time, of all functions together.", "events", Bounds(1, 10_000)
    )
    queue_events_max: int = setting(
        2_000_000, "Events that may wait; more are refused with 429.", "events", Bounds(1, 1_000_000_000)
    )
    queue_bytes_max: int = setting(
        8 * _GIB, "Payloads of all events that may wait, together.", "bytes", Bounds(1_048_576, 1024**5)
    )
    enqueue_seconds_max: float = setting(
        5.0,
        "An event that cannot be committed for so long is refused.",
        "seconds",
        Bounds(0.1, 600.0, text="0.1 to 600"),
    )


@dataclass(frozen=True, slots=True)
class EventSourcesSettings:
    """What event source mappings poll that no AWS service tells the address of."""

    brokers: tuple[str, ...] = setting(
        (),
        "Where a source is, ARN=ADDRESS: host:port;… (MSK), amqps://… or stomp+ssl://… (MQ), mongodb://… (DocumentDB).",
        "",
        Bounds(check=check_broker, text="ARN=ADDRESS", is_secret=True),
    )
    sasl_plaintext: bool = setting(
        False, "Let passwords for Kafka go over connections without TLS, to brokers on a network of your own."
    )


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
