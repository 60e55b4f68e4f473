"""GROUND. Durable state: functions and all other resources, code, keys.

Owns: the database, the code store, the installation's key and access keys. Does: commit, keep order, seal secrets,
unpack packages. Never: decides what a function may be, knows AWS's shapes, HTTP or another room than model.
"""

from lambent.store.code import CodeStore
from lambent.store.functions import FunctionStore
from lambent.store.keys import AccessKeys, InstallationKey
from lambent.store.lock import DataDirectoryLock
from lambent.store.opening import open_records
from lambent.store.resources import Resources

__all__ = [
    "AccessKeys",
    "CodeStore",
    "DataDirectoryLock",
    "FunctionStore",
    "InstallationKey",
    "Resources",
    "open_records",
]
