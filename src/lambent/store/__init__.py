"""GROUND. Durable state: functions, code, keys.

Owns: the database, the code store, the installation's key and access keys. Does: commit, keep order, seal secrets,
unpack packages. Never: decides what a function may be, knows AWS's shapes, HTTP or another room than model.
"""

from lambent.store.code import CodeStore
from lambent.store.contracts import FunctionStore
from lambent.store.errors import StoreUnusableError
from lambent.store.keys import AccessKeys, InstallationKey
from lambent.store.lock import DataDirectoryLock
from lambent.store.sqlite.functions import SqliteFunctionStore

__all__ = [
    "AccessKeys",
    "CodeStore",
    "DataDirectoryLock",
    "FunctionStore",
    "InstallationKey",
    "SqliteFunctionStore",
    "StoreUnusableError",
]
