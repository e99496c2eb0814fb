"""The servers that MAGI brings along, nats-server and PostgreSQL, over a data directory of its own."""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from magi.embedded.datadir import DataDir
    from magi.embedded.endpoints import Endpoints, find_running
    from magi.embedded.errors import (
        DataDirError,
        DataDirLocked,
        DataDirVersionError,
        EmbeddedError,
        PostgresVersionError,
        ServerFailed,
        ServerMissing,
        ServerStartError,
        UsersRefused,
        UsersUnknown,
    )
    from magi.embedded.servers import EmbeddedServers
    from magi.embedded.supervisor import ServerRestarted
    from magi.embedded.users import NatsEdge, NatsService, NatsUser

__all__ = [
    "DataDir",
    "DataDirError",
    "DataDirLocked",
    "DataDirVersionError",
    "EmbeddedError",
    "EmbeddedServers",
    "Endpoints",
    "NatsEdge",
    "NatsService",
    "NatsUser",
    "PostgresVersionError",
    "ServerFailed",
    "ServerMissing",
    "ServerRestarted",
    "ServerStartError",
    "UsersRefused",
    "UsersUnknown",
    "find_running",
]

_MODULES = ("datadir", "endpoints", "errors", "servers", "supervisor", "users")


def __getattr__(name: str) -> Any:
    # Loaded when asked for: every command looks whether a data directory is in use, and few start servers.
    for module in _MODULES if name in __all__ else ():
        found = import_module(f"magi.embedded.{module}")
        if hasattr(found, name):
            return getattr(found, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
