"""The catalogue of identifiers against the service description."""

from __future__ import annotations

import botocore.session
import pytest

from lambent.environments.runtimes.identifiers import IDENTIFIERS, Language, find_identifier, layer_directories


def test_every_identifier_of_the_service_description_is_known() -> None:
    """And no other one."""
    model = botocore.session.get_session().get_service_model("lambda")
    assert set(IDENTIFIERS) == set(model.shape_for("Runtime").enum)


@pytest.mark.parametrize(
    ("name", "language", "version"),
    [
        ("python3.11", Language.PYTHON, (3, 11)),
        ("nodejs", Language.NODEJS, (0, 10)),
        ("nodejs4.3-edge", Language.NODEJS, (4, 3)),
        ("nodejs20.x", Language.NODEJS, (20,)),
        ("java8.al2", Language.JAVA, (8,)),
        ("java17.al2023", Language.JAVA, (17,)),
        ("dotnetcore3.1", Language.DOTNET, (3, 1)),
        ("dotnet8", Language.DOTNET, (8,)),
        ("ruby3.4", Language.RUBY, (3, 4)),
        ("go1.x", Language.EXECUTABLE, ()),
        ("provided.al2023", Language.CUSTOM, ()),
    ],
)
def test_language_and_version(name: str, language: Language, version: tuple[int, ...]) -> None:
    """What a name says."""
    identifier = find_identifier(name)
    assert identifier is not None
    assert (identifier.language, identifier.version) == (language, version)


def test_execution_environment() -> None:
    """AWS_EXECUTION_ENV; OS-only runtimes have none."""
    assert IDENTIFIERS["python3.12"].execution_environment == "AWS_Lambda_python3.12"
    assert IDENTIFIERS["go1.x"].execution_environment == "AWS_Lambda_go1.x"
    assert IDENTIFIERS["provided.al2"].execution_environment is None


def test_layer_directories_follow_the_declared_identifier() -> None:
    """Source: developer guide, "Packaging your layer content"."""
    assert layer_directories(IDENTIFIERS["python3.7"]) == ("/opt/python/lib/python3.7/site-packages", "/opt/python")
    assert layer_directories(IDENTIFIERS["nodejs18.x"]) == (
        "/opt/nodejs/node18/node_modules",
        "/opt/nodejs/node_modules",
    )
