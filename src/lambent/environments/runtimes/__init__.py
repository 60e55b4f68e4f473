"""Which program runs which runtime identifier, and Lambent's own runtime clients.

Owns the catalogue of identifiers, the search for interpreters, and `clients/`, the programs that run under the
customer's interpreter. Never: starts a sandbox, reads this process's environment, speaks to callers.
"""

from lambent.environments.runtimes.catalogue import CatalogueOptions, RuntimeCatalogue
from lambent.environments.runtimes.identifiers import find_identifier
from lambent.environments.runtimes.interpreters import InterpreterSearch, SearchPlaces, wheel_node
from lambent.environments.runtimes.sdk import SdkDirectories

__all__ = [
    "CatalogueOptions",
    "InterpreterSearch",
    "RuntimeCatalogue",
    "SdkDirectories",
    "SearchPlaces",
    "find_identifier",
    "wheel_node",
]
