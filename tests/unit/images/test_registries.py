"""Which registry answers for a name, and with which login."""

from __future__ import annotations

import base64
import json
from typing import TYPE_CHECKING

import pytest

from lambent.images.references import parse_reference
from lambent.images.registries import Place, RegistryTable, check_registry, read_logins

if TYPE_CHECKING:
    from pathlib import Path


def place(entries: tuple[str, ...], reference: str, credentials: Path | None = None) -> Place | None:
    parsed = parse_reference(reference)
    assert parsed is not None
    return RegistryTable(entries, credentials).place_of(parsed)


def test_nothing_is_asked_that_no_entry_names() -> None:
    assert place((), "localhost:5000/app") is None
    assert place(("other",), "public.ecr.aws/app") is None


@pytest.mark.parametrize(
    ("entries", "reference", "url"),
    [
        (("localhost:5000",), "localhost:5000/app", "http://localhost:5000/"),
        (("registry.example",), "registry.example/app", "https://registry.example:443/"),
        (("docker.io",), "app", "https://registry-1.docker.io:443/"),
        (("*",), "registry.example:444/app", "https://registry.example:444/"),
        (
            ("*.dkr.ecr.*.amazonaws.com=http://127.0.0.1:5001/aws",),
            "1.dkr.ecr.eu-west-1.amazonaws.com/a",
            "http://127.0.0.1:5001/aws/",
        ),
        (("a.example=http://127.0.0.1:1", "*=http://127.0.0.1:2"), "a.example/app", "http://127.0.0.1:1/"),
    ],
)
def test_where_it_is_asked(entries: tuple[str, ...], reference: str, url: str) -> None:
    found = place(entries, reference)
    assert found is not None
    assert f"{found.origin.scheme}://{found.origin.host}:{found.origin.port}/{found.prefix}" == url


def test_logins_come_from_the_url_or_the_file(tmp_path: Path) -> None:
    auth = base64.b64encode(b"me:pass:word").decode()
    file = tmp_path / "config.json"
    file.write_text(json.dumps({"auths": {"https://registry.example/v1/": {"auth": auth}}}))
    found = place(("registry.example",), "registry.example/app", file)
    assert found is not None
    assert found.login is not None
    assert (found.login.user, found.login.password) == ("me", "pass:word")
    assert "pass" not in repr(found)
    in_url = place(("a.example=https://u%40x:p@b.example",), "a.example/app", file)
    assert in_url is not None
    assert in_url.login is not None
    assert (in_url.login.user, in_url.login.password) == ("u@x", "p")


def test_a_file_that_is_no_such_file() -> None:
    assert read_logins(b'{"auths": {"index.docker.io": {"identitytoken": "t"}}}')["docker.io"].identity_token == "t"
    for content in (b"", b"[]", b'{"auths": []}', b'{"auths": {"a": {"auth": "%%"}}}'):
        with pytest.raises(ValueError):  # noqa: PT011 - whatever it says, the log has it
            read_logins(content)


def test_entries_are_checked() -> None:
    check_registry("*.example=https://mirror.example/path")
    for entry in ("a b", "a=ftp://x", "a=https://", "=https://x"):
        with pytest.raises(ValueError):  # noqa: PT011
            check_registry(entry)
