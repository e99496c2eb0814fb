"""A voter on the bus (PROTOCOL §3): pulls its tasks, has them judged, and sends the ballots.

Instances of a voter share its tasks: each asks for as many as it has capacity free, so that a slow one never holds what
a free one could take.
"""

import asyncio
import contextlib
import inspect
import threading
import uuid
from collections.abc import Awaitable, Callable, Iterable
from functools import partial
from typing import Any

import msgspec
import structlog
from nats.aio.msg import Msg

import magi
from magi.domain.clock import milliseconds
from magi.domain.ids import VoterId
from magi.domain.messages import Opinion, ProgressBallot, ResultBallot, Task, decode_task
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError, Rejected
from magi.eventstore.consumers import TASK_ACK_WAIT
from magi.eventstore.notices import Refusal, decode_notice
from magi.eventstore.presence import HEARTBEAT, Instance, Presence, host_name, now_ms
from magi.eventstore.pull import PullConsumer, delivery
from magi.eventstore.recent import Recent
from magi.eventstore.streams import StreamsError
from magi.telemetry.instruments import Reading
from magi.telemetry.stages import SEND_BALLOT
from magi.telemetry.tracing import Span
from magi.voters.ballot_box import BallotBox
from magi.voters.metrics import VoterMetrics
from magi.voters.spans import judging
from magi.voters.telling import in_short, tell_failed, tell_sent, tell_taken

log = structlog.get_logger(__name__)

Judge = Callable[[Task], Awaitable[Opinion]] | Callable[[Task], Opinion]
"""What a voter is. A plain function runs in a thread, one a task; it may block, and nothing stops it. A coroutine is
cancelled at the task's deadline."""

CAPACITY = 8
"""Tasks judged at once, by default."""
MAX_ATTEMPTS = 3
"""How often a task is tried whose judge raises, here or by another instance. Then the voter abstains and says why."""
RETRY_AFTER = 1.0
_KEEP = TASK_ACK_WAIT / 3
_REASON = 4096


class CannotJudge(Exception):
    """Raised by a judge that can't judge a task. The message says why; when no try is left it is the voter's reason."""


class VoterAgent:
    """One instance of a voter."""

    def __init__(
        self,
        bus: Bus,
        voter: VoterId,
        judge: Judge,
        *,
        capacity: int = CAPACITY,
        max_attempts: int = MAX_ATTEMPTS,
        counted: VoterMetrics | None = None,
    ) -> None:
        """`counted` is where it counts what it does, if that isn't to be its own."""
        self.voter = voter
        self._counted = counted or VoterMetrics()
        self._max_attempts = max_attempts
        self._bus = bus
        self._judge = judge
        self._capacity = capacity
        self._open: set[asyncio.Task[None]] = set()
        self._taken: set[str] = set()
        """Where the server wants the acknowledgements of what is open."""
        self._keeper: asyncio.Task[None] | None = None
        self._announcing: asyncio.Task[None] | None = None
        self._pull = PullConsumer(
            bus,
            subjects.TASKS,
            subjects.task_consumer(voter),
            self._receive,
            want=capacity,
            room=lambda: capacity - len(self._open),
        )
        instance = Instance(
            part=f"voter.{voter}",
            instance=uuid.uuid4().hex[:12],
            version=magi.__version__,
            since_ms=now_ms(),
            capacity=capacity,
            host=host_name(),
        )
        self._recent = Recent()
        self._box = BallotBox(bus, now_ms)
        self._presence = Presence(bus, instance, self._as_it_is)

    async def start(self) -> None:
        """Begin to take tasks. Raises BusError when NATS doesn't answer."""
        await self._bus.subscribe(subjects.notice_voter(self.voter), self._refused)
        await self._look_for_consumer()
        self._announcing = asyncio.create_task(self._announce())
        self._keeper = asyncio.create_task(self._keep())
        await self._pull.start()
        log.info("voter_started", voter=self.voter, capacity=self._capacity)

    async def stop(self, timeout: float = 2.0) -> None:
        """Take nothing more and finish what is open; what isn't done within `timeout` goes to another instance."""
        await self._pull.stop()
        if self._announcing:
            self._announcing.cancel()
        await self._presence.stop()
        if self._open:
            _, late = await asyncio.wait(self._open, timeout=timeout)
            for task in late:
                task.cancel()
            if late:
                await asyncio.wait(late, timeout=1.0)  # a judge may not heed that it is cancelled
        self._box.close()
        if self._keeper:
            self._keeper.cancel()

    def metrics(self) -> Iterable[Reading]:
        """See `telemetry.instruments.Source`. For an agent that counts for itself."""
        return self._counted.metrics()

    async def _look_for_consumer(self) -> None:
        """Say it when there is nothing to read from: whoever registers a voter makes its consumer."""
        name = f"{subjects.TASKS}.{subjects.task_consumer(self.voter)}"
        if b'"error"' in await self._bus.request(f"$JS.API.CONSUMER.INFO.{name}"):
            log.warning("voter_not_registered", voter=self.voter)

    async def _announce(self) -> None:
        """Be seen as alive. That must not keep a voter from its work: it can't make the bucket itself."""
        while True:
            try:
                await self._presence.start()
                return
            except (BusError, Rejected, StreamsError) as error:
                log.info("presence_missed", voter=self.voter, error=str(error))
                await asyncio.sleep(HEARTBEAT)

    def _as_it_is(self, instance: Instance) -> Instance:
        figures = self._recent.figures(now_ms())
        return msgspec.structs.replace(
            instance,
            in_flight=len(self._open),
            p95_ms=figures.p95_ms,
            succeeded=figures.succeeded,
            failed=figures.failed,
        )

    async def _receive(self, msg: Msg) -> None:
        work = asyncio.create_task(self._work(msg))
        self._open.add(work)
        self._counted.open[self.voter] += 1
        work.add_done_callback(self._finished)

    def _finished(self, work: asyncio.Task[None]) -> None:
        self._open.discard(work)
        self._counted.open[self.voter] -= 1
        if not work.cancelled() and (error := work.exception()):
            log.error("task_left", voter_id=self.voter, error=in_short(error))  # unacknowledged: it comes again
        self._pull.look()

    async def _work(self, msg: Msg) -> None:
        try:
            task = decode_task(msg.data)
            deadline = milliseconds(task.deadline)
        except (msgspec.DecodeError, ValueError, RecursionError) as error:
            log.error("bad_task", voter_id=self.voter, error=type(error).__name__)
            await self._bus.publish(msg.reply, b"+TERM")
            return
        task = msgspec.structs.replace(task, attempt=delivery(msg.reply).attempt)
        self._counted.redelivered[self.voter] += task.attempt > 1
        if now_ms() >= deadline:
            await self._bus.publish(msg.reply, b"+TERM")
            return
        with judging(self.voter, task, msg.subject) as span:
            traced = msgspec.structs.replace(task, traceparent=span.traceparent or msgspec.UNSET)
            await self._take(msg, traced, deadline, span)

    async def _take(self, msg: Msg, task: Task, deadline: int, span: Span) -> None:
        taken = now_ms()
        tell_taken(self.voter, task)
        self._taken.add(msg.reply)
        self._put(task, ProgressBallot(task_id=task.task_id), deadline, span)
        try:
            ballot = await self._vote(task, (deadline - now_ms()) / 1000)
            if ballot is None:
                span.failed("tried_again")
                await self._bus.publish(msg.reply, b'-NAK {"delay":%d}' % int(RETRY_AFTER * 1e9))
                return
            await self._put(task, ballot, deadline, span)
            span.note("magi.vote", ballot.vote)
            tell_sent(self.voter, task, ballot, now_ms() - taken)
            await self._bus.publish(msg.reply, b"+ACK")
        except asyncio.CancelledError:
            await self._bus.publish(msg.reply, b"-NAK")  # we stop: another instance can have it now
            raise
        finally:
            self._taken.discard(msg.reply)

    async def _vote(self, task: Task, left: float) -> ResultBallot | None:
        """The judge's vote; None when it raised, or didn't end in time, and the task is to be tried again."""
        began = now_ms()
        try:
            ballot = _ballot(task, _checked(await self._judged(task, left)))
            took = now_ms() - began
            self._recent.succeeded(took, now_ms())
            self._counted.tasks[self.voter, "voted"] += 1
            self._counted.judged[self.voter].observe(took / 1000)
            return ballot
        except (Exception, asyncio.CancelledError) as error:  # a judge is somebody else's code: what it raises it says
            if (work := asyncio.current_task()) and work.cancelling():
                raise  # it is we who stop
            self._recent.failed(now_ms())
            tell_failed(self.voter, task, error)
            if task.attempt < self._max_attempts and now_ms() + RETRY_AFTER * 1000 < milliseconds(task.deadline):
                self._counted.tasks[self.voter, "again"] += 1
                return None
            self._counted.tasks[self.voter, "failed"] += 1
            why = str(error) if isinstance(error, CannotJudge) else type(error).__name__
            times = "once" if task.attempt == 1 else f"{task.attempt} times"
            reason = _storable(f"could not judge, tried {times}: {why}")
            return ResultBallot(task_id=task.task_id, vote="abstain", reason=reason, failed=True)

    async def _judged(self, task: Task, left: float) -> object:
        if inspect.iscoroutinefunction(self._judge):
            said: object = self._judge(task)
        else:
            said = await _in_thread(self._judge, task)  # for as long as it takes: its thread is one of `capacity`
        if not inspect.isawaitable(said):
            return said
        async with asyncio.timeout(left):
            return await said

    def _put(
        self, task: Task, ballot: ProgressBallot | ResultBallot, deadline: int, span: Span
    ) -> "asyncio.Future[None]":
        """Put a ballot into the box; what comes back is done once it can't be lost any more."""
        if not isinstance(task.ballot_subject, str):
            raise BusError(f"task {task.task_id} has no ballot_subject")
        sending = span.child(SEND_BALLOT, task.ballot_subject)
        sending.note("magi.ballot", "result" if isinstance(ballot, ResultBallot) else "progress")
        traced = msgspec.structs.replace(ballot, traceparent=sending.traceparent)
        stored = self._box.put(task.ballot_subject, traced, deadline)
        stored.add_done_callback(partial(_sent, sending))
        return stored

    async def _keep(self) -> None:
        """Say of what is open that it is being worked on, so that no other instance gets it."""
        while True:
            await asyncio.sleep(_KEEP)
            for reply in tuple(self._taken):
                try:
                    await self._bus.publish(reply, b"+WPI")
                except BusError as error:
                    log.debug("wpi_missed", voter_id=self.voter, error=str(error))

    async def _refused(self, msg: Msg) -> None:
        try:
            notice = decode_notice(msg.data)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            log.error("notice_unreadable", voter_id=self.voter, error=type(error).__name__)
            return
        if isinstance(notice, Refusal):
            log.warning("notice_of_refusal", voter_id=self.voter, task=notice.task_id, code=notice.code)


def _sent(sending: Span, stored: "asyncio.Future[None]") -> None:
    if stored.cancelled() or stored.exception():
        sending.failed("not_stored")
    sending.end()


def _ballot(task: Task, opinion: Opinion) -> ResultBallot:
    return ResultBallot(task_id=task.task_id, vote=opinion.vote, reason=opinion.reason, confidence=opinion.confidence)


def _checked(said: object) -> Opinion:
    """What a judge said as an opinion that can be sent. Raises ValidationError, TypeError when it is none."""
    if not isinstance(said, Opinion):
        raise TypeError(f"expected an Opinion, got {type(said).__name__}")
    reason = _storable(said.reason) if isinstance(said.reason, str) else said.reason
    return msgspec.convert({"vote": said.vote, "reason": reason, "confidence": said.confidence}, Opinion)


def _storable(reason: str) -> str:
    """A reason without what can't be sent: judges quote what they judge. Lone surrogates can't be encoded, a NUL can't
    be stored."""
    reason = reason.encode(errors="replace").decode().replace("\0", "\ufffd")
    return reason if len(reason) <= _REASON else reason[: _REASON - 1] + "…"


async def _in_thread(function: Callable[[Task], Any], task: Task) -> Any:
    """Call a function that may block in a thread of its own. A pool's threads would keep a process from ending."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[Any] = loop.create_future()

    def tell(result: Any, error: BaseException | None) -> None:
        if done.done():
            return  # nobody waits any more
        if error is None:
            done.set_result(result)
        else:
            done.set_exception(error if isinstance(error, Exception) else RuntimeError(repr(error)))

    def work() -> None:
        result, error = None, None
        try:
            result = function(task)
        except BaseException as raised:  # noqa: BLE001 - not even SystemExit may pass for an answer that never comes
            error = raised
        with contextlib.suppress(RuntimeError):  # the voter has ended
            loop.call_soon_threadsafe(tell, result, error)

    threading.Thread(target=work, daemon=True, name=f"judge {task.task_id}").start()
    return await done
