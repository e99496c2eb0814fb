"""Six bugs, planted in the real parts when they start: would the checker have seen them?

Each errs for one Initiator only, the one of its name; so one run tells of each whether it is caught, and of an
Initiator for whom nothing errs, that the checker doesn't cry wolf.
"""

import asyncio
import os
from collections.abc import Callable
from typing import Any

import msgspec

from magi.domain.ids import AggregateId
from magi.domain.messages import Submission
from magi.domain.voting_request import CastVote, Command, RequestEvent, VoterProgress, VoterResult, VotingRequest

SOUND = "sound"
"""Nothing errs for it."""
CAUGHT_BY = {
    "drop-ack-wait": ("was received and not decided", "votes are lost"),
    "double-count": ("was counted 2 times", "was counted 3 times"),
    "skip-dedup": ("events are named",),
    "reorder": (" after ",),
    "lose-resume": (" after ", "never got the verdict"),
    "forget-deadline": ("was received and not decided",),
}
"""The mutants, and what the checker must say of each: one of these."""


def plant() -> None:
    """Plant what belongs into this process, by the name that it runs under."""
    part = os.environ.get("MAGI_PART", "")
    if part.startswith("orchestrator"):
        for bug in (drop_ack_wait, double_count, skip_dedup, forget_deadline):
            bug()
    elif part.startswith("gateway"):
        for bug in (reorder, lose_resume):
            bug()


def drop_ack_wait() -> None:
    """Ballots are acknowledged when they come, and not when what they lead to is stored, some time later: in one breath
    both would reach the server, whoever dies meanwhile."""
    from magi.orchestrator.held import HeldRequest
    from magi.orchestrator.inbox import ALONE, Item
    from magi.orchestrator.requests import Requests

    handle = Requests._handle

    async def mutant(self: Requests, aggregate: AggregateId, request: HeldRequest, items: list[Item]) -> None:
        # Only ballots that came alone: else others in their message would be acknowledged, those of `SOUND` too.
        early = [item for item in items if not isinstance(item.message, Submission) and item.whole is ALONE]
        if early and _is_of("drop-ack-wait", request.state):
            for item in early:
                await self._effects.acknowledge(item.reply)
            await asyncio.sleep(0.05)
        await handle(self, aggregate, request, items)

    _replace(Requests, "_handle", mutant)


def double_count() -> None:
    """Nobody looks whether a voter has voted."""
    from magi.domain.voting_request import decide
    from magi.orchestrator import deciding

    def mutant(state: VotingRequest, command: Command) -> list[RequestEvent]:
        if isinstance(command, CastVote) and _is_of("double-count", state) and not state.verdict:
            votes = {voter: vote for voter, vote in state.votes.items() if voter != command.voter}
            state = msgspec.structs.replace(state, votes=votes)
        return decide(state, command)

    _replace(deciding, "decide", mutant)


def skip_dedup() -> None:
    """An event is published again after a lost acknowledgement without what lets the server refuse the second one."""
    from magi.eventstore.log import JetStreamLog

    store = JetStreamLog._store

    async def mutant(self: JetStreamLog[Any], subject: str, data: bytes, event_id: str, expected: int) -> int:
        if not subject.startswith("magi.log.skip-dedup."):
            return await store(self, subject, data, event_id, expected)
        return (await self._patiently(lambda: self.bus.store(subject, data))).seq

    _replace(JetStreamLog, "_store", mutant)


def forget_deadline() -> None:
    """The submission is acknowledged when its tasks are out: nothing comes at the deadline."""
    from magi.orchestrator.inbox import Item
    from magi.orchestrator.requests import Requests

    submission = Requests._submission

    async def mutant(self: Requests, request: Any, item: Item, submitted: Submission) -> None:
        await submission(self, request, item, submitted)
        if submitted.initiator_id == "forget-deadline":
            await self._effects.acknowledge(item.reply)

    _replace(Requests, "_submission", mutant)


def reorder() -> None:
    """What comes after an event is sent before it, now and then."""
    from magi.gateway import wire
    from magi.gateway.following import Following
    from magi.gateway.tracker import Tracker

    tell, held = Following._tell, dict[int, bytes]()

    def mutant(self: Following, tracker: Tracker, event: RequestEvent) -> None:
        later = isinstance(event, VoterProgress | VoterResult) and event.originator_version % 3 == 0
        if self.initiator == "reorder" and later:
            held[id(tracker)] = wire.event(tracker.request_id, event)
            tracker.told(event.originator_version, final=False)
            return
        tell(self, tracker, event)
        if frame := held.pop(id(tracker), None):
            self._outbound.send(frame)

    _replace(Following, "_tell", mutant)


def lose_resume() -> None:
    """Who resumes is told what comes, and not what it missed."""
    from magi.domain.ids import RequestId
    from magi.gateway import wire
    from magi.gateway.following import Following

    resume = Following.resume

    async def mutant(self: Following, request_id: RequestId, after_seq: int) -> None:
        if self.initiator != "lose-resume":
            await resume(self, request_id, after_seq)
            return
        tracker = self.follow(request_id)
        history = await self._log.load(tracker.aggregate)
        tracker.resumed, tracker.position = True, len(history)
        self._outbound.send(wire.resumed(request_id, len(history)))

    _replace(Following, "resume", mutant)


def _is_of(initiator: str, state: VotingRequest) -> bool:
    return state.received is not None and state.received.initiator_id == initiator


def _replace(owner: Any, name: str, mutant: Callable[..., Any]) -> None:
    getattr(owner, name)  # a bug that is planted nowhere would be caught by nobody
    setattr(owner, name, mutant)
