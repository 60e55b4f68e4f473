"""DATA PLANE. The main path of a call: resolve, admit, lease concurrency, run in an environment.

Owns: the catalog (name → version, memory) and concurrency in use (memory). Never: HTTP, the store, the control plane,
observers. Start reading at invoker.py.
"""

from lambent.invocation.admission import Admission
from lambent.invocation.catalog import Catalog
from lambent.invocation.concurrency import ConcurrencyLimiter
from lambent.invocation.invoker import Invoker
from lambent.invocation.policies import ResourcePolicies
from lambent.invocation.recursion import RecursionGuard

__all__ = ["Admission", "Catalog", "ConcurrencyLimiter", "Invoker", "RecursionGuard", "ResourcePolicies"]
