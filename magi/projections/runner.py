"""Moves one projection forward: messages in, rows and position out, each exactly once.

Rows and position are one transaction, and the position is swapped only if it is where we left it. What was folded in
memory follows from the tables alone, so every failure is met in the same way: forget it, load it again, go on.
"""

from collections.abc import Awaitable, Callable

import msgspec
import psycopg
import structlog
from msgspec import Struct

from magi.eventstore.bus import Bus
from magi.eventstore.codec import digest
from magi.eventstore.direct import StoredMessage
from magi.eventstore.follow import HoleInStream
from magi.eventstore.gaps import first_readable
from magi.projections import skips
from magi.projections.errors import CannotApply, EventRefused, Hole, PositionMoved, ProjectionError, StreamReplaced
from magi.projections.feed import STEADY, Batching, Feed
from magi.projections.identity import first_from, stored_at, stream_state
from magi.projections.layout import SCRATCH, sql
from magi.projections.postgres import Connection, first_line
from magi.projections.skips import Skips
from magi.projections.sources import Projection

log = structlog.get_logger(__name__)

IDLE = 1.0
"""Seconds without a message after which we look whether the stream is still the one that it was."""


_UNFIT = (psycopg.DataError, psycopg.IntegrityError, psycopg.errors.ProgramLimitExceeded)
"""What Postgres says of rows that it will never take. The last is one of its OperationalErrors, which else pass."""

OnStep = Callable[[Connection], Awaitable[None]]


async def nothing(connection: Connection) -> None:
    """Does nothing at each step."""


class Position(Struct, frozen=True):
    identity: str
    sequence: int
    digest: str
    """SHA-256 (hex) of the bytes that stand at `sequence`; empty for 0."""


class _BatchRefused(ProjectionError):
    """Postgres doesn't take the rows of a batch. Which message it is shows when there is only one in it."""

    def __init__(self, messages: list[StoredMessage], reason: str) -> None:
        super().__init__(reason)
        self.messages = messages
        self.reason = reason


async def position_of(connection: Connection, projection: str) -> Position | None:
    """How far a projection's tables are; None when they were never begun."""
    row = await (await connection.execute(sql("position"), {"projection": projection})).fetchone()
    return Position(*row) if row else None


class Runner:
    """One projection into the tables that `connection` finds first."""

    def __init__(
        self,
        bus: Bus,
        connection: Connection,
        projection: Projection,
        *,
        schema: str,
        batching: Batching = STEADY,
        on_progress: Callable[[int], None] = lambda sequence: None,
        on_step: OnStep = nothing,
        on_look: Callable[[int, int], None] = lambda position, last: None,
    ) -> None:
        """`schema` is where the tables are. `on_progress` is called with the position after each batch, `on_step` in
        the transaction of each batch and when there was none for a while; what it raises comes out of `run`. `on_look`
        is called with the position and the stream's last sequence, at each batch and when there was none."""
        self._bus = bus
        self._connection = connection
        self._projection = projection
        self._schema = schema
        self._batching = batching
        self._on_progress = on_progress
        self._on_step = on_step
        self._on_look = on_look
        self._at = Position("", 0, "")
        self._skips = Skips()
        self._most = batching.most
        self._refused: dict[int, str] = {}
        """Messages whose rows Postgres doesn't take."""

    async def run(self, until: int | None = None) -> None:
        """Go on to the position `until`, by default for ever.

        Raises Halted when an operator has to look, PositionMoved when somebody else writes to the tables, BusError and
        psycopg's errors. May then be called again.
        """
        while True:
            try:
                return await self._run(until)
            except _BatchRefused as refused:
                if len(refused.messages) == 1:
                    self._refused[refused.messages[0].sequence] = refused.reason
                self._most = max(1, len(refused.messages) // 2)

    async def _run(self, until: int | None) -> None:
        await self._load()
        while until is None or self._at.sequence < until:
            start = self._skips.behind_hole(self._at.sequence + 1)
            feed = Feed(self._bus, self._projection.stream, start)
            await feed.start()
            try:
                await self._follow(feed, until)
            except HoleInStream as error:
                await self._load()
                if self._skips.behind_hole(self._at.sequence + 1) == self._at.sequence + 1:
                    raise await self._hole(str(error)) from error
            finally:
                await feed.stop()

    async def _follow(self, feed: Feed, until: int | None) -> None:
        while until is None or self._at.sequence < until:
            most = self._most if until is None else min(self._most, until - self._at.sequence)
            messages = await feed.take(most, self._batching, IDLE)
            last = await self._check_stream()
            self._on_look(self._at.sequence, last)
            if not messages:
                await self._look_for_a_gap(last)
                await self._on_step(self._connection)
                continue
            applied, passed, refusal = self._apply(messages)
            if applied:
                await self._commit(applied, passed)
                self._on_look(self._at.sequence, last)
                self._most = min(2 * self._most, self._batching.most)
            if refusal:
                raise refusal

    async def _load(self) -> None:
        """Begin from what the tables hold. Raises StreamReplaced."""
        name = self._projection.name
        state = await stream_state(self._bus, self._projection.stream)
        await self._connection.execute(sql("begin_position"), {"projection": name, "identity": state.identity})
        at = await position_of(self._connection, name)
        assert at is not None
        self._at = at
        if state.identity != at.identity:
            raise self._replaced("another stream of this name is there now, made anew")
        if at.sequence > state.last_sequence:
            raise self._replaced(f"it ends at {state.last_sequence}, before {at.sequence}, which was projected")
        if at.sequence:
            stored = await stored_at(self._bus, self._projection.stream, at.sequence)
            if stored is None or stored.digest != at.digest:
                raise self._replaced(f"at {at.sequence} there isn't what was projected")
        self._skips = await skips.load(self._connection, at.identity)
        await self._projection.load(self._connection)

    def _apply(
        self, messages: list[StoredMessage]
    ) -> tuple[list[StoredMessage], list[skips.Skip], EventRefused | None]:
        """Fold in what can be: the messages that are done with, those of them that were passed over, and what stops."""
        passed: list[skips.Skip] = []
        refused, apply = self._refused, self._projection.apply
        for number, message in enumerate(messages):
            try:
                if message.sequence in refused:
                    raise CannotApply(refused[message.sequence])
                apply(message)
            except CannotApply as error:
                follows = self._skips.passes(message)
                if follows is None:
                    return messages[:number], passed, self._refusal(message, str(error))
                log.warning("event_passed_over", projection=self._projection.name, sequence=message.sequence)
                if follows != message.sequence:
                    passed.append(self._skip(message, f"follows {follows}, which was skipped: {error}"))
        return messages, passed, None

    async def _commit(self, messages: list[StoredMessage], passed: list[skips.Skip]) -> None:
        last = messages[-1]
        to = Position(self._at.identity, last.sequence, digest(last.data))
        try:
            async with self._connection.transaction():
                # First the swap: whoever comes second waits here for the first, and writes nothing.
                swapped = await self._connection.execute(
                    sql("advance_position"),
                    {
                        "projection": self._projection.name,
                        "identity": to.identity,
                        "from": self._at.sequence,
                        "to": to.sequence,
                        "digest": to.digest,
                    },
                )
                if swapped.rowcount != 1:
                    raise PositionMoved(f"{self._projection.name}: somebody else writes to {self._schema}")
                await self._on_step(self._connection)
                await self._projection.write(self._connection)
                if passed and self._schema != SCRATCH:
                    await skips.record(self._connection, passed)
        except _UNFIT as error:
            raise _BatchRefused(messages, f"Postgres: {first_line(error)}") from error
        self._at = to
        self._on_progress(to.sequence)

    async def _look_for_a_gap(self, last: int) -> None:
        """Raises Hole when nothing comes though there is something: it can't be read (see `gaps`)."""
        expected = self._skips.behind_hole(self._at.sequence + 1)
        if expected <= last and await first_from(self._bus, self._projection.stream, expected) is None:
            raise await self._hole(f"{self._projection.stream}: {expected} can't be read, and it goes up to {last}")

    async def _check_stream(self) -> int:
        """The stream's last sequence. Raises StreamReplaced.

        Asked after messages came and before they are looked at: so they are of our stream.
        """
        state = await stream_state(self._bus, self._projection.stream)
        if state.identity != self._at.identity:
            raise self._replaced("it was deleted and made anew")
        return state.last_sequence

    def _replaced(self, reason: str) -> StreamReplaced:
        return StreamReplaced(
            self._projection.name,
            f"stream {self._projection.stream}: {reason}. Is it the right server? If so: `magi projections rebuild`",
            identity=self._at.identity,
            sequence=self._at.sequence,
        )

    async def _hole(self, reason: str) -> Hole:
        stream, expected = self._projection.stream, self._at.sequence + 1

        async def read(sequence: int) -> int | None:
            found = await first_from(self._bus, stream, sequence)
            return found.sequence if found else None

        end = (await stream_state(self._bus, stream)).last_sequence
        behind = await read(expected) or await first_readable(read, expected, end)
        last = behind - 1 if behind else max(expected, end)
        return Hole(self._projection.name, reason, identity=self._at.identity, sequence=expected, last_sequence=last)

    def _refusal(self, message: StoredMessage, reason: str) -> EventRefused:
        return EventRefused(
            self._projection.name,
            reason,
            identity=self._at.identity,
            sequence=message.sequence,
            subject=message.subject,
            event=without_content(message.data),
        )

    def _skip(self, message: StoredMessage, reason: str) -> skips.Skip:
        return skips.Skip(
            self._at.identity,
            message.sequence,
            message.sequence,
            self._projection.name,
            message.subject,
            reason,
            "projector",
        )


def without_content(data: bytes) -> str:
    """The JSON of a message's events without what was submitted; what it is instead when it holds no JSON objects."""
    try:
        said = msgspec.json.decode(data)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
        said = None
    events = said if isinstance(said, list) else [said]
    for event in events:
        if not isinstance(event, dict):
            return f"{len(data)} bytes that hold no JSON objects"
        if "content" in event:
            event["content"] = "not kept here"
    return msgspec.json.encode(said).decode()[:10_000]
