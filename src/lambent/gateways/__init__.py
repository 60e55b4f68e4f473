"""DOOR. HTTP requests that are events for functions: function URLs.

Owns: which URL leads to which function (memory, fed by committed changes). Does: a request to an event and a function's
answer to an HTTP answer, who may call, CORS. Never: connections and signatures (api has them), the planes, the store.
"""

from lambent.gateways.function_url import FunctionUrls, Surroundings
from lambent.gateways.url_table import FunctionUrlTable

__all__ = ["FunctionUrlTable", "FunctionUrls", "Surroundings"]
