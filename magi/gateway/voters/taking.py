"""Taking tasks off the bus for one connection: as many as it has capacity for, kept while they are open, given back.

A connection asks for no more than it has room for, so that a slow one holds only its own tasks.
"""

import asyncio
from collections.abc import Callable

import msgspec
import structlog
from nats.aio.msg import Msg

from magi.domain.clock import milliseconds
from magi.domain.ids import VoterId, split_task_id
from magi.domain.messages import Task, decode_task
from magi.domain.voter_commands import MOST_CAPACITY
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError
from magi.eventstore.consumers import TASK_ACK_WAIT, ensure_task_consumer
from magi.eventstore.presence import now_ms
from magi.eventstore.pull import PullConsumer, delivery
from magi.gateway.outbound import Outbound
from magi.gateway.voters import wire
from magi.gateway.voters.tasks import OpenTask, Tasks
from magi.telemetry import tracing
from magi.telemetry.stages import PROCESS_TASK
from magi.telemetry.tracing import Span

log = structlog.get_logger(__name__)

_KEEP = TASK_ACK_WAIT / 3


class Taking:
    """Fills `tasks` from the voter's consumer, and sends each to the voter."""

    def __init__(
        self,
        bus: Bus,
        voter: VoterId,
        tasks: Tasks,
        outbound: Outbound,
        *,
        max_attempts: Callable[[], int],
        on_overdue: Callable[[], None],
    ) -> None:
        """`max_attempts()` says how often a task may be delivered; `on_overdue()` is told of each deadline missed."""
        self._bus = bus
        self._voter = voter
        self._tasks = tasks
        self._outbound = outbound
        self._max_attempts = max_attempts
        self._on_overdue = on_overdue
        self.capacity = 0
        """How many tasks may be open."""
        self._pull: PullConsumer | None = None
        self._changing = asyncio.Lock()
        self._keeper: asyncio.Task[None] | None = None
        self._stopped = False
        self._loop = asyncio.get_running_loop()
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._saying: set[asyncio.Task[None]] = set()

    async def start(self) -> None:
        """See to it that there is something to take from. Raises BusError."""
        await ensure_task_consumer(self._bus, self._voter)

    async def resize(self, capacity: int) -> None:
        """Have at most so many tasks open from now on. Those that are stay so."""
        async with self._changing:
            if self._stopped or capacity == self.capacity:
                return
            fewer = capacity < self.capacity
            self.capacity = capacity
            if fewer and self._pull:
                # What the server was asked for can't be unasked but with the inbox where it would come.
                pull, self._pull = self._pull, None
                await pull.stop()
            if self._pull:
                await self._pull.ask()
            elif capacity:
                await self._begin()

    async def _begin(self) -> None:
        self._keeper = self._keeper or asyncio.create_task(self._keep())
        self._pull = PullConsumer(
            self._bus,
            subjects.TASKS,
            subjects.task_consumer(self._voter),
            self._receive,
            want=MOST_CAPACITY,
            room=lambda: self.capacity - len(self._tasks),
        )
        await self._pull.start()

    async def stop(self) -> None:
        """Take nothing more, and give back at once what nobody has voted on: another instance can have it now."""
        self._stopped = True
        async with self._changing:
            # First: what is given back must not come to us again.
            pull, self._pull = self._pull, None
            if pull:
                await pull.stop()
        if self._keeper:
            self._keeper.cancel()
        for task in self._tasks.open():
            if task.result is None:
                await self.give_back(task)

    async def give_back_rest(self) -> None:
        """After `stop`: give back those, too, whose votes are not known to be stored."""
        for task in self._tasks.open():
            await self.give_back(task)

    async def give_back(self, task: OpenTask) -> None:
        task.span.failed("given_back")
        self._end(task)
        await self._say(task.reply, b"-NAK")

    async def voted(self, task: OpenTask) -> None:
        """Its result is stored: it is done."""
        self._end(task)
        await self._say(task.reply, b"+ACK")
        await self.ask()

    def overdue(self, task: OpenTask) -> None:
        """Its deadline has passed. Nothing is to be done yet while its result is being stored."""
        if task.over or task.unanswered:
            return
        task.span.failed("overdue")
        self._end(task)
        self._on_overdue()
        log.info("task_overdue", voter=self._voter, task=task.task_id, attempt=task.attempt)
        for work in (self._say(task.reply, b"+TERM"), self.ask()):
            saying = asyncio.create_task(work)
            self._saying.add(saying)
            saying.add_done_callback(self._saying.discard)

    async def ask(self) -> None:
        """There may be room again."""
        if self._pull:
            await self._pull.ask()

    def _end(self, task: OpenTask) -> None:
        self._tasks.end(task)
        timer = self._timers.pop(task.task_id, None)
        if timer:
            timer.cancel()

    async def _say(self, reply: str, what: bytes) -> None:
        """Acknowledge a task in one way or another. What isn't heard comes again, and is answered again."""
        try:
            await self._bus.publish(reply, what)
        except BusError as error:
            log.info("acknowledgement_lost", voter=self._voter, error=str(error))

    async def _receive(self, msg: Msg) -> None:
        try:
            task = decode_task(msg.data)
            deadline = milliseconds(task.deadline)
            subject = _ballot_subject(task, self._voter)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            log.error("bad_task", voter_id=self._voter, error=type(error).__name__)
            await self._say(msg.reply, b"+TERM")
            return
        known = self._tasks.find(task.task_id)
        if known and (known.accepted or not known.over):
            known.reply = msg.reply  # its acknowledgement, or that it is being worked on, was not heard
            if known.accepted:
                await self._say(msg.reply, b"+ACK")
            return
        attempt = delivery(msg.reply).attempt
        if now_ms() >= deadline:
            await self._say(msg.reply, b"+TERM")
        elif attempt > self._max_attempts():
            log.warning("task_given_up", voter=self._voter, task=task.task_id, attempts=attempt - 1)
            await self._say(msg.reply, b"+TERM")
        elif len(self._tasks) >= self.capacity or self._outbound.closing:
            await self._say(msg.reply, b"-NAK")  # there was room when it was asked for
        else:
            span = _judging(task, self._voter, msg.subject, attempt)
            task = msgspec.structs.replace(task, traceparent=span.traceparent or msgspec.UNSET)
            opened = OpenTask(task.task_id, msg.reply, subject, deadline, now_ms(), attempt, task.request_id, span)
            await self._open(task, opened)

    async def _open(self, task: Task, opened: OpenTask) -> None:
        self._tasks.add(opened)
        self._timers[task.task_id] = self._loop.call_later((opened.deadline - now_ms()) / 1000, self.overdue, opened)
        await self._outbound.room()  # many large tasks at once are no reason to take a client for one that doesn't read
        if not opened.over:
            self._outbound.send(wire.task(task, opened.attempt))
            log.debug(
                "task_taken",
                request=task.task_id.rpartition(".")[0],
                request_id=task.request_id,
                trace=task.traceparent or "",
                voter_id=self._voter,
                attempt=opened.attempt,
            )

    async def _keep(self) -> None:
        """Say that the open tasks are being worked on, so that no other instance gets them."""
        while True:
            await asyncio.sleep(_KEEP)
            for task in self._tasks.open():
                await self._say(task.reply, b"+WPI")


def _judging(task: Task, voter: VoterId, subject: str, attempt: int) -> Span:
    trace = task.traceparent or ""
    request = task.task_id.rpartition(".")[0]
    span = tracing.stage(PROCESS_TASK, trace, request, task.request_id, subject, link=trace)
    span.note("magi.voter_id", voter)
    span.note("magi.attempt", attempt)
    return span


def _ballot_subject(task: Task, voter: VoterId) -> str:
    """Where ballots on a task go: nowhere but among this voter's. Raises ValueError."""
    named = split_task_id(task.task_id)
    subject = task.ballot_subject
    if named is None or named[1] != voter:
        raise ValueError(f"task_id: {task.task_id[:200]!r} is no task of {voter}")
    if (
        not isinstance(subject, str)
        or not subject.startswith("magi.inbox.")
        or not subject.endswith(f".ballot.{voter}")
    ):
        raise ValueError(f"ballot_subject: {str(subject)[:200]!r} is not where {voter} votes")
    return subject
