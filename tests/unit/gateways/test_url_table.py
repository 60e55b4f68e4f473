"""Which URL is whose, as the feed tells it."""

from __future__ import annotations

from msgspec.structs import replace

from lambent.gateways.url_table import FunctionUrlTable
from lambent.model.configs.function_url import FunctionUrlConfig

CONFIG = FunctionUrlConfig("0" * 12, "us-east-1", "f", "", "r", "url1", "NONE", 0, 0)


def test_put_replace_remove() -> None:
    table = FunctionUrlTable()
    assert table.find("url1") is None
    table.put(CONFIG)
    assert table.find("url1") == CONFIG
    anew = replace(CONFIG, url_id="url2")
    table.put(anew)
    assert (table.find("url1"), table.find("url2")) == (None, anew)
    of_alias = replace(CONFIG, qualifier="live", url_id="url3")
    table.put(of_alias)
    table.remove(("0" * 12, "us-east-1", "f", ""))
    assert (table.find("url2"), table.find("url3")) == (None, of_alias)
    table.remove(("0" * 12, "us-east-1", "f", ""))
