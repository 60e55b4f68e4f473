"""DOOR. AWS Lambda's API over HTTP: connections, signatures, routes, validation, the form of answers and errors.

Owns: connections and requests under way (memory; a crash forgets them). Does: bytes to typed calls of the planes and
of the invoker, and back. Never: the store, environments, a rule of Lambda that is not about its wire.
Start reading at door.py; operations.py is the index of all operations.
"""

from lambent.api.building import ApiOptions, ApiParts, build_server
from lambent.api.local_routes import LocalRequest, LocalRoute
from lambent.api.messages import FileBody, HttpResponse

__all__ = ["ApiOptions", "ApiParts", "FileBody", "HttpResponse", "LocalRequest", "LocalRoute", "build_server"]
