"""The directory's stream: change what is in it by commands, and keep a live copy of it."""

import asyncio
from collections.abc import Awaitable, Callable, Sequence

import structlog

from magi.domain import initiator as initiators
from magi.domain import template as templates
from magi.domain import voter as voters
from magi.domain import voter_commands
from magi.domain.clock import milliseconds
from magi.domain.directory import Directory, DirectoryEvent
from magi.domain.ids import AggregateId, InitiatorId, VoterId, initiator_aggregate, panel_aggregate, voter_aggregate
from magi.domain.initiator import InitiatorCommand, InitiatorEvent
from magi.domain.operations import Area, OperatorActed, operations_aggregate
from magi.domain.template import TemplateCommand, TemplateEvent
from magi.domain.voter import VoterEvent
from magi.domain.voter_commands import VoterCommand
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.direct import StoredMessage
from magi.eventstore.follow import MessageFollower
from magi.eventstore.history import EMPTY, AppendConflict, CorruptHistory, Recorded
from magi.eventstore.log import JetStreamLog

log = structlog.get_logger(__name__)

_OPERATIONS = f"{subjects.DIRECTORY_PREFIX}operations."

DirectoryLog = JetStreamLog[DirectoryEvent]
ATTEMPTS = 5
_DAY_MS = 24 * 60 * 60 * 1000


def directory_log(bus: Bus) -> DirectoryLog:
    return JetStreamLog(bus, subjects.DIRECTORY, subjects.DIRECTORY_PREFIX, DirectoryEvent)


async def change_voter(store: DirectoryLog, command: VoterCommand) -> list[Recorded[DirectoryEvent]]:
    """Carry out a command on a voter; return the events that it led to. Raises what `decide` does."""

    def decide(history: Sequence[DirectoryEvent]) -> Sequence[DirectoryEvent]:
        state = voters.INITIAL
        for event in history:
            assert isinstance(event, VoterEvent)
            state = voters.evolve(state, event)
        return voter_commands.decide(state, command)

    return await _change(store, voter_aggregate(VoterId(command.voter_id)), decide)


async def change_initiator(store: DirectoryLog, command: InitiatorCommand) -> list[Recorded[DirectoryEvent]]:
    """Carry out a command on an initiator; return the events that it led to. Raises what `decide` does."""

    def decide(history: Sequence[DirectoryEvent]) -> Sequence[DirectoryEvent]:
        state = initiators.INITIAL
        for event in history:
            assert isinstance(event, InitiatorEvent)
            state = initiators.evolve(state, event)
        return initiators.decide(state, command)

    return await _change(store, initiator_aggregate(InitiatorId(command.initiator_id)), decide)


async def change_template(store: DirectoryLog, command: TemplateCommand) -> list[Recorded[DirectoryEvent]]:
    """Carry out a command on a panel template; return the events that it led to. Raises what `decide` does."""

    def decide(history: Sequence[DirectoryEvent]) -> Sequence[DirectoryEvent]:
        state = templates.INITIAL
        for event in history:
            assert isinstance(event, TemplateEvent)
            state = templates.evolve(state, event)
        return templates.decide(state, command)

    return await _change(store, panel_aggregate(command.panel_id), decide)


async def record_operation(store: DirectoryLog, area: Area, event: OperatorActed) -> None:
    """Put on record what an operator did. Raises StoreError.

    What is refused again within a day, with nothing else refused in between, is on record once: a job that asks for it
    every minute would fill a stream that keeps everything.
    """

    def decide(history: Sequence[DirectoryEvent]) -> Sequence[DirectoryEvent]:
        return [] if history and _refused_again(history[-1], event) else [event]

    await _change(store, operations_aggregate(area), decide)


def _refused_again(last: DirectoryEvent, event: OperatorActed) -> bool:
    if not isinstance(last, OperatorActed) or event.outcome != "refused":
        return False  # what was done was done each time
    if (last.action, last.what, last.by, last.outcome) != (event.action, event.what, event.by, event.outcome):
        return False
    return 0 <= milliseconds(event.at) - milliseconds(last.at) < _DAY_MS


async def _change(
    store: DirectoryLog,
    aggregate: AggregateId,
    decide: Callable[[Sequence[DirectoryEvent]], Sequence[DirectoryEvent]],
) -> list[Recorded[DirectoryEvent]]:
    for attempt in range(1, ATTEMPTS + 1):
        history = await store.load(aggregate)
        head = history[-1].head if history else EMPTY
        try:
            return await store.append(aggregate, decide([r.event for r in history]), head)
        except AppendConflict:
            if attempt == ATTEMPTS:
                raise
    raise AssertionError("unreachable")


class DirectoryView:
    """A live copy of the directory. `on_change` is called after each event, also those that were there at the start."""

    def __init__(
        self,
        bus: Bus,
        on_change: Callable[[DirectoryEvent], Awaitable[None]] | None = None,
    ) -> None:
        self.directory = Directory()
        self._on_change = on_change
        self._codec = directory_log(bus).codec
        self._follower = MessageFollower(bus, subjects.DIRECTORY, self._read)

    @property
    def failed(self) -> asyncio.Future[None]:
        """Set when the copy can't be kept up to date any more."""
        return self._follower.failed

    async def start(self, timeout: float = 10.0) -> None:
        """Begin to follow and return when the copy is complete. Raises BusError, TimeoutError."""
        await self._follower.start()
        await asyncio.wait_for(self._follower.caught_up.wait(), timeout)

    async def stop(self) -> None:
        await self._follower.stop()

    async def _read(self, message: StoredMessage) -> None:
        try:
            changes = self._codec.recorded(message.sequence, message.data)
        except CorruptHistory:
            if not message.subject.startswith(_OPERATIONS):
                raise
            # Nothing follows from what operators did but the record, which a later version may have written.
            log.warning("operation_not_understood", sequence=message.sequence)
            return
        for recorded in changes:
            await self._apply(recorded)

    async def _apply(self, recorded: Recorded[DirectoryEvent]) -> None:
        self.directory.apply(recorded.event)
        if self._follower.caught_up.is_set():  # else it was so before
            self.tell(recorded)
        if self._on_change:
            await self._on_change(recorded.event)

    def tell(self, recorded: Recorded[DirectoryEvent]) -> None:
        """Log a change. Overridden where the log is somebody's terminal."""
        event = recorded.event
        log.info(
            "directory_changed",
            change=event.__struct_config__.tag,
            about=event.originator_id,
            by=getattr(event, "by", ""),
            what=getattr(event, "what", ""),
            why=getattr(event, "reason", ""),
            sequence=recorded.sequence,
        )
