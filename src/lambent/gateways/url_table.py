"""Which function URL is whose: the data plane's view, in memory."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from lambent.model.configs.function_url import FunctionUrlConfig

# account, region, function, qualifier ("" for the function itself)
UrlKey = tuple[str, str, str, str]


class FunctionUrlTable:
    """Scope: node. Only writer: app.py's feed of committed changes. After a crash: rebuilt from the store."""

    def __init__(self) -> None:
        self._configs: dict[str, FunctionUrlConfig] = {}
        self._ids: dict[UrlKey, str] = {}

    def put(self, config: FunctionUrlConfig) -> None:
        """Take a committed configuration."""
        key = (config.account_id, config.region, config.name, config.qualifier)
        self.remove(key)
        self._ids[key] = config.url_id
        self._configs[config.url_id] = config

    def remove(self, key: UrlKey) -> None:
        """Forget the URL of a function or alias."""
        url_id = self._ids.pop(key, None)
        if url_id is not None:
            self._configs.pop(url_id, None)

    def find(self, url_id: str) -> FunctionUrlConfig | None:
        """Return the configuration of a URL, None when there is no such URL."""
        return self._configs.get(url_id)
