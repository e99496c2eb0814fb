"""The directory as the commands use it: its log for a change, all of it at one moment for a list, and who did it."""

import contextlib
import getpass
import os
import socket
from collections.abc import AsyncIterator

from magi.cli.context import Context
from magi.domain.directory import Directory, DirectoryEvent
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.directory import DirectoryLog
from magi.eventstore.log import JetStreamLog

PATIENCE = 5.0
"""Seconds until somebody at a terminal is told that the directory doesn't answer. Parts wait longer."""


def operator() -> str:
    """Who runs this command, as it is stored with what they do: ``user@host``."""
    try:
        user = getpass.getuser()
    except (KeyError, OSError):  # a user id without a name, as containers have
        user = str(os.getuid())
    return f"{user}@{socket.gethostname()}"


@contextlib.asynccontextmanager
async def open_directory(ctx: Context) -> AsyncIterator[DirectoryLog]:
    """The directory's log, on a connection for the length of a command. Raises CannotConnect, SettingsError."""
    async with ctx.bus("operator") as bus:
        yield await directory_of(bus)


async def directory_of(bus: Bus, patience: float = PATIENCE) -> DirectoryLog:
    """The same on a connection that is there. `patience`: seconds until a directory that doesn't answer is an error."""
    store: DirectoryLog = JetStreamLog(
        bus, subjects.DIRECTORY, subjects.DIRECTORY_PREFIX, DirectoryEvent, patience=patience
    )
    await store.start()
    return store


async def read_directory(store: DirectoryLog) -> Directory:
    """All voters and initiators as they are now. Raises StoreError."""
    directory = Directory()
    async for recorded in store.read():
        directory.apply(recorded.event)
    return directory
