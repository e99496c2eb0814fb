"""What follows from a decision: tasks to voters, notices of refusals, acknowledgements and timers in the inbox.

Everything here may happen twice: tasks carry an id by which JetStream drops the second one, the rest is harmless.
"""

import asyncio
from collections import Counter
from collections.abc import Callable

import msgspec
import structlog
from nats.aio.msg import Msg

from magi.domain.errors import Refused
from magi.domain.ids import AggregateId, VoterId, task_id
from magi.domain.messages import Submission, Task, encode
from magi.domain.voting_request import Received, content_digest
from magi.eventstore import subjects
from magi.eventstore.bus import Bus, BusError, NoAck, Rejected, acknowledged
from magi.eventstore.notices import Existing, Refusal
from magi.telemetry.stages import SEND_TASK
from magi.telemetry.tracing import OFF, Span

log = structlog.get_logger(__name__)


class Effects:
    """Carries decisions out on the bus."""

    def __init__(self, bus: Bus, partitions: int, now: Callable[[], int]) -> None:
        """`now` gives the time in milliseconds since 1970."""
        self._bus = bus
        self._partitions = partitions
        self._now = now
        self.refused: Counter[str] = Counter()
        """Ballots that were refused, by the code of their error."""

    async def dispatch(
        self, aggregate: AggregateId, received: Received, voters: tuple[str, ...], deadline: int, span: Span = OFF
    ) -> tuple[str, ...]:
        """Give `voters` the request as a task each, until the deadline (milliseconds); return who got it.

        A task that nobody took until the deadline is removed by the server, in whole seconds. A voter whose queue is
        full gets none: it will be missing. `span` is what this is part of. Raises BusError.
        """
        left = max(1, -(-(deadline - self._now()) // 1000))
        ttl = f"{left}s"
        await self._bus.ready()
        under_way = [(voter, *self._give(aggregate, received, VoterId(voter), ttl, span)) for voter in voters]
        got: list[str] = []
        failed: BusError | None = None
        for voter, sending, answer in under_way:  # each is heard, or a failure would be nobody's
            with sending:
                try:
                    acknowledged(await answer)
                    got.append(voter)
                except Rejected as error:
                    log.error("task_rejected", voter=voter, request=aggregate, error=str(error))
                    sending.failed("rejected")
                except BusError as error:
                    sending.failed(type(error).__name__)
                    failed = error
        if failed:
            raise failed
        return tuple(got)

    def _give(
        self, aggregate: AggregateId, received: Received, voter: VoterId, ttl: str, span: Span
    ) -> "tuple[Span, asyncio.Future[Msg]]":
        """Send a task; what comes back is its sending, and its acknowledgement to wait for."""
        content = received.content
        sending = span.child(SEND_TASK, subjects.tasks(voter))
        sending.note("magi.voter_id", voter)
        name = task_id(aggregate, voter)
        task = Task(
            task_id=name,
            request_id=received.request_id,
            user_query=content.user_query,
            agent_answer=content.agent_answer,
            metadata=content.metadata,
            deadline=received.deadline,
            ballot_subject=subjects.ballot(aggregate, voter, self._partitions),
            traceparent=sending.traceparent or msgspec.UNSET,
        )
        return sending, self._bus.post(subjects.tasks(voter), encode(task), {"Nats-TTL": ttl, "Nats-Msg-Id": name})

    async def acknowledge(self, reply: str) -> None:
        """The message was handled: the inbox forgets it. Ends a timer, too. Raises NoAck without a connection."""
        await self._bus.publish(reply, b"+ACK")

    async def wake_at(self, reply: str, deadline: int) -> None:
        """Have the message come again at `deadline`, in milliseconds since 1970. Raises NoAck without a connection."""
        if not self._bus.nc.is_connected:
            # It would wait in a buffer, and the delay in it be counted from whenever the server gets it.
            raise NoAck("not connected to NATS")
        delay = max(1, deadline - self._now()) * 1_000_000
        await self._bus.publish(reply, b'-NAK {"delay":%d}' % delay)

    async def refuse_submission(self, submission: Submission, error: Refused) -> None:
        notice = Refusal(
            error.code,
            error.message,
            request_id=submission.request_id,
            digest=content_digest(submission),
            retryable=error.retryable,
        )
        await self._bus.publish(subjects.notice_initiator(submission.initiator_id), msgspec.json.encode(notice))

    async def refuse_ballot(self, voter: str, task: str, code: str, message: str) -> None:
        self.refused[code] += 1
        notice = Refusal(code, message, task_id=task or None)
        await self._bus.publish(subjects.notice_voter(voter), msgspec.json.encode(notice))

    async def say_existing(self, submission: Submission) -> None:
        """Tell the gateways of the Initiator to replay a request from the log."""
        notice = Existing(submission.request_id, content_digest(submission))
        await self._bus.publish(subjects.notice_initiator(submission.initiator_id), msgspec.json.encode(notice))
