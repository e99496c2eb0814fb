"""The servers that MAGI brings along, nats-server and PostgreSQL, over a data directory of its own."""

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
