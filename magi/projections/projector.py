"""The projector: follows both streams into the live tables, for as long as it is let.

Nothing here stops anything else. What passes by itself is tried again, what doesn't is written down for an operator;
the streams go on independently.
"""

import asyncio
import contextlib
import random
from collections.abc import AsyncIterator, Callable, Iterable, Sequence

import psycopg
import structlog
from msgspec import Struct

from magi.eventstore.bus import Bus, BusError
from magi.eventstore.history import StoreError
from magi.projections import halts, versions
from magi.projections.errors import Halted, OtherLayout, PositionMoved, PostgresUnreachable
from magi.projections.feed import STEADY, Batching
from magi.projections.identity import stream_state
from magi.projections.layout import LAYOUT
from magi.projections.metrics import Progress
from magi.projections.postgres import TRANSIENT, Connection, connect, first_line
from magi.projections.runner import Runner
from magi.projections.sources import Projection, RequestsProjection, VotersProjection
from magi.projections.versions import Version, lock_key
from magi.telemetry.instruments import Reading

log = structlog.get_logger(__name__)

FIRST_PAUSE = 0.1
LONGEST_PAUSE = 2.0
LOOK_EVERY = 0.5
"""Seconds between two looks: whether an operator has skipped what stands in the way, whether the lock is free."""
AGAIN_AFTER = 30.0
"""Seconds until what stopped us is tried again unasked: the stream may have been restored meanwhile."""

Sources = Callable[[Version], Sequence[Projection]]
_LIVE = Version(1, "live", LAYOUT, False, "")
"""Any version: the names of the projections are the same for all."""


def all_projections(version: Version) -> Sequence[Projection]:
    """One a stream; their names are the same for every version."""
    return RequestsProjection(content=version.content), VotersProjection()


class ProjectorSettings(Struct, frozen=True):
    url: str
    """Of Postgres."""
    content: bool = False
    """Whether tables that are made from now on hold what was submitted."""
    batching: Batching = STEADY


class Projector:
    """Start it once. Any number may run: one a stream works, the others wait to take over."""

    def __init__(self, bus: Bus, settings: ProjectorSettings, projections: Sources = all_projections) -> None:
        self._bus = bus
        self._settings = settings
        self._projections = projections
        self._tasks: list[asyncio.Task[None]] = []
        self._stopping = False
        self._progress = Progress([p.name for p in projections(_LIVE)])

    async def start(self) -> None:
        """Returns at once: Postgres may come later."""
        self._tasks = [asyncio.create_task(self._keep(p.name)) for p in self._projections(_LIVE)]

    async def stop(self) -> None:
        """What isn't committed comes again."""
        self._stopping = True
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    def metrics(self) -> Iterable[Reading]:
        """See `telemetry.instruments.Source`."""
        return self._progress.metrics()

    async def _keep(self, name: str) -> None:
        pause, problem = FIRST_PAUSE, ""
        while not self._stopping:  # until Python 3.12 `wait_for` forgets a cancellation that comes with the answer
            began = asyncio.get_running_loop().time()
            try:
                await self._session(name)
            except PositionMoved as error:
                log.info("projection_loads_again", projection=name, error=str(error))
            except (PostgresUnreachable, BusError, StoreError, psycopg.ProgrammingError, *TRANSIENT) as error:
                # ProgrammingError: the tables were dropped under us, or replaced; or rights are missing.
                text = first_line(error)
                if text != problem:  # ten tries fail in the same way
                    log.warning("projection_waits", projection=name, error=text)
                problem = text
            except Exception as error:  # our fault, whatever it is: the other stream goes on, and so does `magi serve`
                log.exception("projection_failed", projection=name, error=first_line(error))
            self._progress.broke_off(name)
            if asyncio.get_running_loop().time() - began > LONGEST_PAUSE:
                pause, problem = FIRST_PAUSE, ""
            await asyncio.sleep(pause * random.uniform(0.5, 1.0))  # noqa: S311 - jitter
            pause = min(2 * pause, LONGEST_PAUSE)

    async def _session(self, name: str) -> None:
        """Work on one connection until it breaks."""
        async with self._connected() as connection:
            await versions.prepare(connection)
            await self._until_ours(connection, name)
            while True:
                version = await versions.first_version(connection, content=self._settings.content)
                if version.content != self._settings.content:
                    log.warning("content_differs", setting=self._settings.content, hint="magi projections rebuild")
                seen = await halts.fingerprint(connection)
                try:
                    await self._work(connection, version, name)
                except Halted as halted:
                    self._progress.halted(name)
                    log.error("projection_halted", projection=name, sequence=halted.sequence, reason=halted.reason)
                    await halts.record(connection, version.version, halted)
                    await self._until_changed(connection, seen)

    async def _work(self, connection: Connection, version: Version, name: str) -> None:
        if version.layout != LAYOUT:
            raise OtherLayout(
                name,
                f"version {version.version} is of layout {version.layout}, this MAGI writes {LAYOUT}: "
                "`magi projections rebuild`",
            )
        projection = next(p for p in self._projections(version) if p.name == name)
        await connection.execute("SELECT set_config('search_path', %s, false)", (f"{version.schema}, pg_catalog",))
        halted = True

        async def on_step(connection: Connection) -> None:
            """Notice that the views were put on other tables; say that we are not standing any more."""
            nonlocal halted
            live = await versions.live_version(connection)
            if live is None or live.version != version.version:
                raise PositionMoved("the views are on other tables now")
            if halted:
                await halts.clear(connection, version.version, name)
                halted = False

        batching = self._settings.batching
        runner = Runner(
            self._bus,
            connection,
            projection,
            schema=version.schema,
            batching=batching,
            on_step=on_step,
            on_look=lambda position, last: self._progress.looked(name, position, last),
        )
        log.info("projection_runs", projection=name, version=version.version)
        if name == RequestsProjection.name:
            # Tables that were just made are filled first: their indexes cost half of the time otherwise.
            await runner.run((await stream_state(self._bus, projection.stream)).last_sequence)
            await versions.make_indexes(connection, version)
        await runner.run()

    @contextlib.asynccontextmanager
    async def _connected(self) -> AsyncIterator[Connection]:
        connection = await connect(self._settings.url, synchronous="off")
        try:
            yield connection
        finally:
            await connection.close()

    async def _until_ours(self, connection: Connection, name: str) -> None:
        """Wait until no other projector works on this stream. Its lock is free when its connection ends."""
        waiting = False
        while True:
            row = await (await connection.execute("SELECT pg_try_advisory_lock(%s)", (lock_key(name),))).fetchone()
            if row == (True,):
                return
            if not waiting:
                log.info("projection_stands_by", projection=name)
            waiting = True
            await asyncio.sleep(LOOK_EVERY)

    async def _until_changed(self, connection: Connection, seen: tuple[int, ...]) -> None:
        until = asyncio.get_running_loop().time() + AGAIN_AFTER
        while asyncio.get_running_loop().time() < until:
            await asyncio.sleep(LOOK_EVERY)
            if await halts.fingerprint(connection) != seen:
                return
