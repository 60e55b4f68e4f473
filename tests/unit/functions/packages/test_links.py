"""The URL that GetFunction answers: signed, for ten minutes, for that package."""

from __future__ import annotations

import asyncio
import base64
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import parse_qsl, urlsplit

import pytest

from lambent.model.errors import AccessDeniedError, ResourceNotFoundError
from tests.unit.functions.conftest import zipped

if TYPE_CHECKING:
    from tests.unit.functions.conftest import Scene


async def link(scene: Scene) -> tuple[str, dict[str, str]]:
    answer = await scene.call("get_function", FunctionName="f")
    assert answer["Code"]["RepositoryType"] == "S3"
    url = urlsplit(answer["Code"]["Location"])
    assert f"{url.scheme}://{url.netloc}" == scene.caller.base_url
    assert url.path.startswith("/_lambent/v1/code/")
    return url.path.rpartition("/")[2], dict(parse_qsl(url.query))


async def test_the_link_opens_the_package(scene: Scene) -> None:
    package = zipped()
    await scene.create(Code={"ZipFile": package})
    digest, query = await link(scene)
    opened = await scene.plane.open_code(digest, query)
    assert await asyncio.to_thread(Path(opened.path).read_bytes) == base64.b64decode(package)
    assert (opened.size_bytes, opened.file_name) == (len(base64.b64decode(package)), "f.zip")


async def test_forged_and_old_links_do_not(scene: Scene) -> None:
    await scene.create()
    digest, query = await link(scene)
    later = query | {"Expires": str(int(query["Expires"]) + 1)}
    for path, changed in (
        (digest, later),
        ("0" * 64, query),
        ("../../keys", query),
        (digest, {}),
        (digest, query | {"name": "g"}),
    ):
        with pytest.raises(AccessDeniedError):
            await scene.plane.open_code(path, changed)
    scene.clock.now_ms += 601_000
    with pytest.raises(AccessDeniedError, match="expired"):
        await scene.plane.open_code(digest, query)


async def test_a_link_to_a_package_that_went(scene: Scene) -> None:
    await scene.create()
    digest, query = await link(scene)
    scene.code.zip_path(digest).unlink()
    with pytest.raises(ResourceNotFoundError):
        await scene.plane.open_code(digest, query)
