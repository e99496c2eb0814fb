"""What every command has at hand: the data directory, the settings in force, and connections made with them."""

import asyncio
import contextlib
import os
from collections.abc import AsyncIterator, Coroutine, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import msgspec
from msgspec import Struct

from magi.cli import logs
from magi.cli.nats_access import seed_file
from magi.cli.settings import FILE, NatsSettings, Setting, Settings, SettingsError, load
from magi.cli.tls import nats_tls
from magi.embedded.datadir import holder
from magi.embedded.files import write_atomically
from magi.eventstore.declarations import Overrides, StreamDeclaration, load_declarations
from magi.eventstore.rights import Component, inbox_prefix

if TYPE_CHECKING:
    from nats.aio.client import Client

    from magi.eventstore.bus import Bus

T = TypeVar("T")
DEFAULT_DATA = Path(".magi")
_NOTE = Path("run") / "magi.json"
LEAVE = 1.0
"""Seconds to take leave of NATS. It takes milliseconds."""


class NotRunning(Exception):
    """No `magi serve` is running over the data directory, and no other NATS is named."""


class ServeNote(Struct, frozen=True, kw_only=True):
    """What a running `magi serve` leaves in its data directory for the other commands."""

    url: str
    """Where Initiators connect."""
    settings: dict[str, Any]
    """The settings that it runs with, by their dotted names: the other commands go by them."""


def note_file(data: Path) -> Path:
    """Where the note of a `magi serve` is."""
    return data / _NOTE


def write_note(data: Path, note: ServeNote) -> None:
    write_atomically(note_file(data), msgspec.json.encode(note))


def read_note(data: Path) -> ServeNote | None:
    """The note of the `magi serve` that runs over `data`; None when none does, or it isn't that far yet."""
    if holder(data) is None:
        return None
    try:
        return msgspec.json.decode(note_file(data).read_bytes(), type=ServeNote)
    except (OSError, msgspec.DecodeError):
        return None


class Context(Struct, frozen=True):
    """Made once a command by `Context.load`."""

    data: Path
    settings: Settings
    in_force: list[Setting]
    note: ServeNote | None
    """Of the `magi serve` that runs over `data`."""

    @classmethod
    def load(cls, data: Path | None, options: Mapping[str, Any] | None = None, file: Path | None = None) -> "Context":
        """Find the data directory (`data`, else MAGI_DATA, else ./.magi) and the settings. Raises SettingsError."""
        data = (data or Path(os.environ.get("MAGI_DATA") or DEFAULT_DATA)).absolute()
        if data.exists() and not data.is_dir():
            raise SettingsError(f"{data}: a file, where the data directory is expected (--data, or MAGI_DATA)")
        named = file or (Path(os.environ["MAGI_CONFIG"]) if os.environ.get("MAGI_CONFIG") else None)
        if named and not named.is_file():
            raise SettingsError(f"{named}: no such file")
        found = named or (data / FILE if (data / FILE).is_file() else None)
        note = read_note(data)
        running = note.settings if note else {}
        settings, in_force = load(found, os.environ, running, options)
        return cls(data, settings, in_force, note)

    def declarations(self) -> tuple[StreamDeclaration, ...]:
        """The streams as they have to be. Raises DeclarationError."""
        overrides = Overrides(replicas=self.settings.nats.replicas, partitions=self.settings.orchestrator.partitions)
        return load_declarations(overrides=overrides)

    async def connect(self, component: Component, name: str = "", attempts: int = 1) -> "Bus":
        """Connect to NATS as a part of MAGI, with its own seed. Raises NotRunning, CannotConnect, SettingsError."""
        nats = self.settings.nats
        if not nats.url:
            raise NotRunning(
                f"no MAGI is running over {self.data}: start one with `magi serve`, "
                "name its data directory with --data or MAGI_DATA, or set nats.url"
            )
        from magi.eventstore.bus import Bus  # here: NATS takes long to import, and not every command needs it

        return await Bus.connect(
            nats.url,
            name=name or component,
            seed=_seed(nats, component),
            inbox_prefix=inbox_prefix(component),
            tls=nats_tls(nats),
            attempts=attempts,
        )

    @contextlib.asynccontextmanager
    async def bus(self, component: Component, attempts: int = 3) -> "AsyncIterator[Bus]":
        """A connection for the length of a command, as who may do what it does. What is not wrong is not logged."""
        logs.configure_command(self.settings.log)
        # More than one try: nats-server cuts off whoever is about to connect while it reads its users anew.
        bus = await self.connect(component, f"magi cli, {component}", attempts=attempts)
        try:
            yield bus
        finally:
            with contextlib.suppress(TimeoutError):  # NATS hangs: what the command has found out is told all the same
                async with asyncio.timeout(LEAVE):
                    await bus.close()

    @contextlib.asynccontextmanager
    async def nats(self) -> "AsyncIterator[Client]":
        """The nats-py client of such a connection."""
        async with self.bus("operator") as bus:
            yield bus.nc


def _seed(nats: NatsSettings, component: Component) -> str | None:
    if not (nats.seed_file or nats.seed_dir):
        return None
    name = "nats.seed_file" if nats.seed_file else "nats.seed_dir"
    file = Path(nats.seed_file) if nats.seed_file else seed_file(Path(nats.seed_dir), component)
    try:
        return file.read_text().strip()
    except OSError as error:
        raise SettingsError(f"{name}: {file}: {error.strerror}") from None


def run_async(work: Coroutine[Any, Any, T]) -> T:
    """Run a command's coroutine to its end."""
    import uvloop

    return uvloop.run(work)
