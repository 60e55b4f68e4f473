"""Where a service answers, and what is said when nobody does."""

from __future__ import annotations

from dataclasses import dataclass

import pytest

from lambent.neighbours import Endpoints, unknown_names
from lambent.settings import NeighbourSettings, NeighboursSettings
from lambent.wire.error_forms import NeighbourError
from lambent.wire.http_client import Origin


@dataclass
class FakeChild:
    """Answers at one place; counts who asked."""

    asked: int = 0
    is_installed: bool = True
    password: str = "known"

    async def wait_ready(self) -> Origin:
        self.asked += 1
        return Origin("http", "127.0.0.1", 5)


def settings(**endpoints: str) -> NeighboursSettings:
    return NeighboursSettings(services={name: NeighbourSettings(url) for name, url in endpoints.items()})


async def test_an_endpoint_of_its_own_wins_over_the_child() -> None:
    child = FakeChild()
    endpoints = Endpoints(settings(s3="https://minio.example/base/"), child)
    place = await endpoints.place("s3")
    assert place.origin == Origin("https", "minio.example", 443)
    assert (place.host, place.base_path, place.is_embedded, place.credentials) == (
        "minio.example",
        "/base",
        False,
        None,
    )
    assert child.asked == 0
    embedded = await endpoints.place("sqs")
    assert (embedded.is_embedded, embedded.proof) == (True, (("x-lambent-proof", "known"),))
    assert "known" not in repr(embedded)
    assert child.asked == 1


async def test_credentials_and_region_belong_to_an_endpoint() -> None:
    one = NeighbourSettings("http://127.0.0.1:9000", "eu-west-1", "AKID", "secret")
    place = await Endpoints(NeighboursSettings(services={"s3": one}), None).place("s3")
    assert place.credentials is not None
    assert (place.credentials.access_key_id, place.region, place.host) == ("AKID", "eu-west-1", "127.0.0.1:9000")
    assert "secret" not in repr(place)


async def test_streams_answer_where_the_tables_do() -> None:
    endpoints = Endpoints(settings(dynamodb="http://127.0.0.1:8000"), None)
    assert (await endpoints.place("dynamodbstreams")).origin.port == 8000


@pytest.mark.parametrize(
    ("child", "asked", "text"),
    [
        (FakeChild(), "polly", "set neighbours.polly.endpoint"),
        (None, "polly", "set neighbours.polly.endpoint"),
        (None, "sqs", "neighbours.enabled=false"),
        (FakeChild(), "x" * 5_000, "set neighbours." + "x" * 64 + ".endpoint"),
    ],
)
async def test_nobody_answers(child: FakeChild | None, asked: str, text: str) -> None:
    with pytest.raises(NeighbourError) as refused:
        await Endpoints(settings(s3="http://127.0.0.1:1"), child).place(asked)
    assert text in refused.value.message
    assert (refused.value.code, refused.value.status) == ("NotImplementedException", 501)


async def test_a_service_we_do_not_know_may_have_an_endpoint() -> None:
    assert (await Endpoints(settings(polly="http://127.0.0.1:1"), None).place("polly")).origin.port == 1


def test_who_has_a_service() -> None:
    assert Endpoints(settings(logs="http://127.0.0.1:1"), None).has("logs")
    assert not Endpoints(settings(), None).has("logs")
    assert Endpoints(settings(), FakeChild()).has("logs")
    assert not Endpoints(settings(), FakeChild()).has("polly")
    assert not Endpoints(settings(), FakeChild(is_installed=False)).has("logs")


def test_a_name_that_looks_like_a_mistake_is_said() -> None:
    assert unknown_names(settings(s3="http://127.0.0.1:1")) == ()
    [sentence] = unknown_names(settings(dynamodbb="http://127.0.0.1:1"))
    assert "did you mean neighbours.dynamodb?" in sentence
