"""Every runtime identifier of the API, with its family, version and AWS's deprecation dates.

Source: service description of botocore 1.44.5, shape Runtime; developer guide, "Lambda runtimes" (deprecation tables).
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Language(StrEnum):
    """What an identifier's code is written for."""

    PYTHON = "python"
    NODEJS = "nodejs"
    JAVA = "java"
    DOTNET = "dotnet"
    RUBY = "ruby"
    CUSTOM = "custom"
    """`bootstrap` in the package or a layer is the runtime."""
    EXECUTABLE = "executable"
    """`Handler` names an executable in the package that is its own runtime (go1.x)."""


class RuntimeIdentifier(Struct, frozen=True):
    """One identifier. `version` as (major, minor) or (major,); empty for custom ones.

    `deprecated` is the day (YYYY-MM-DD) of AWS's deprecation, None when there is none yet.
    """

    name: str
    language: Language
    version: tuple[int, ...] = ()
    deprecated: str | None = None

    @property
    def execution_environment(self) -> str | None:
        """Value of AWS_EXECUTION_ENV; None for runtimes without one (OS-only runtimes)."""
        return None if self.language is Language.CUSTOM else f"AWS_Lambda_{self.name}"


def layer_directories(identifier: RuntimeIdentifier) -> tuple[str, ...]:
    """Return where a layer's libraries of this runtime lie, in order of search.

    Source: developer guide, "Packaging your layer content".
    """
    version = ".".join(map(str, identifier.version))
    match identifier.language:
        case Language.PYTHON:
            return (f"/opt/python/lib/python{version}/site-packages", "/opt/python")
        case Language.NODEJS:
            major = identifier.version[0] if identifier.version else 0
            return (f"/opt/nodejs/node{major}/node_modules", "/opt/nodejs/node_modules")
        case Language.RUBY:
            return (f"/opt/ruby/gems/{version}.0", "/opt/ruby/lib")
        case Language.JAVA:
            return ("/opt/java/lib",)
        case _:
            return ("/opt/bin", "/opt/lib")


def find_identifier(name: str) -> RuntimeIdentifier | None:
    """Return the identifier called `name`, or None."""
    return IDENTIFIERS.get(name)


def _row(name: str, deprecated: str | None = None) -> RuntimeIdentifier:
    language, version = _parse(name)
    return RuntimeIdentifier(name, language, version, deprecated)


def _parse(name: str) -> tuple[Language, tuple[int, ...]]:
    if name in ("provided", "provided.al2", "provided.al2023", "custom"):
        return Language.CUSTOM, ()
    if name == "go1.x":
        return Language.EXECUTABLE, ()
    if name == "nodejs":
        return Language.NODEJS, (0, 10)
    for prefix, language in (
        ("python", Language.PYTHON),
        ("nodejs", Language.NODEJS),
        ("java", Language.JAVA),
        ("dotnetcore", Language.DOTNET),
        ("dotnet", Language.DOTNET),
        ("ruby", Language.RUBY),
    ):
        if name.startswith(prefix):
            digits = name.removeprefix(prefix).removesuffix("-edge").replace(".al2023", "").replace(".al2", "")
            return language, tuple(int(part) for part in digits.split(".") if part.isdigit())
    raise ValueError(name)


IDENTIFIERS: dict[str, RuntimeIdentifier] = {
    row.name: row
    for row in (
        _row("nodejs", "2016-10-31"),
        _row("nodejs4.3", "2020-03-05"),
        _row("nodejs4.3-edge", "2020-03-05"),
        _row("nodejs6.10", "2019-08-12"),
        _row("nodejs8.10", "2020-03-06"),
        _row("nodejs10.x", "2021-07-30"),
        _row("nodejs12.x", "2023-03-31"),
        _row("nodejs14.x", "2023-12-04"),
        _row("nodejs16.x", "2024-06-12"),
        _row("nodejs18.x", "2025-09-01"),
        _row("nodejs20.x", "2026-04-30"),
        _row("nodejs22.x"),
        _row("nodejs24.x"),
        _row("nodejs26.x"),
        _row("python2.7", "2021-07-15"),
        _row("python3.6", "2022-07-18"),
        _row("python3.7", "2023-12-04"),
        _row("python3.8", "2024-10-14"),
        _row("python3.9", "2025-12-15"),
        _row("python3.10", "2026-10-31"),
        _row("python3.11"),
        _row("python3.12"),
        _row("python3.13"),
        _row("python3.14"),
        _row("python3.15"),
        _row("java8", "2024-01-08"),
        _row("java8.al2"),
        _row("java8.al2023"),
        _row("java11"),
        _row("java11.al2023"),
        _row("java17"),
        _row("java17.al2023"),
        _row("java21"),
        _row("java25"),
        _row("dotnetcore1.0", "2019-06-27"),
        _row("dotnetcore2.0", "2019-05-30"),
        _row("dotnetcore2.1", "2022-01-05"),
        _row("dotnetcore3.1", "2023-04-03"),
        _row("dotnet6", "2024-12-20"),
        _row("dotnet8"),
        _row("dotnet10"),
        _row("ruby2.5", "2021-07-30"),
        _row("ruby2.7", "2023-12-07"),
        _row("ruby3.2", "2026-03-31"),
        _row("ruby3.3"),
        _row("ruby3.4"),
        _row("ruby4.0"),
        _row("go1.x", "2024-01-08"),
        _row("provided", "2024-01-08"),
        _row("provided.al2", "2026-07-31"),
        _row("provided.al2023"),
        _row("custom"),
    )
}
