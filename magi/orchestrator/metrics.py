"""What an orchestrator counts of its requests and their voters: outcomes, votes, and how long each stage took.

What a request went through is known only where its submission was taken first. Of one that was taken over the counts
are complete, but of the times there is only the whole.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterable
from itertools import product
from typing import get_args

from magi.domain.clock import milliseconds
from magi.domain.ids import AggregateId
from magi.domain.messages import Submission, Vote
from magi.domain.strategies import Verdict
from magi.domain.voting_request import (
    Adjudicated,
    DecidedBy,
    Received,
    RequestEvent,
    VoterProgress,
    VoterResult,
    VotingRequest,
)
from magi.orchestrator.inbox import Item
from magi.orchestrator.watch import Watch
from magi.telemetry import declarations as d
from magi.telemetry.instruments import Histogram, Histograms, Reading


class _Times:
    """When a request got where; seconds of the monotonic clock, 0 for not yet."""

    __slots__ = ("dispatched", "inbox", "last", "progressed", "received", "taken")

    def __init__(self, taken: float, inbox: float) -> None:
        self.taken = taken
        self.inbox = inbox
        """Seconds that it had waited there."""
        self.received = self.dispatched = self.progressed = self.last = 0.0


class RequestMetrics(Watch):
    """Sees everything that `Requests` tells. Costs 13 µs a request with three voters (`bench/metrics.py`)."""

    def __init__(self, now: Callable[[], int], clock: Callable[[], float] = time.monotonic) -> None:
        """`now` gives milliseconds since 1970."""
        self._now = now
        self._clock = clock
        self._times: dict[AggregateId, _Times] = {}
        self._submissions = Counter({"received": 0, "repeated": 0, "refused": 0})
        self._refused: Counter[str] = Counter()
        self._redelivered = Counter({"submission": 0, "ballot": 0})
        self._left = 0
        self._verdicts: Counter[tuple[str, str, str]] = Counter()
        self._votes: Counter[tuple[str, str, str]] = Counter()
        self._outcomes: Counter[tuple[str, str]] = Counter()
        self._agreement: Counter[tuple[str, str]] = Counter()
        self._voters = Histograms(d.VOTER_SECONDS)
        self._stages = Histograms(d.STAGE_SECONDS)
        self._durations = Histograms(d.REQUEST_SECONDS)
        self._overhead = Histogram(d.OVERHEAD_SECONDS.buckets)

    def metrics(self) -> Iterable[Reading]:
        yield d.SUBMISSIONS, self._submissions
        yield d.SUBMISSIONS_REFUSED, self._refused
        yield d.REDELIVERIES, self._redelivered
        yield d.LEFT, self._left
        yield d.VERDICTS, self._verdicts
        yield d.VOTES, self._votes
        yield d.VOTER_OUTCOMES, self._outcomes
        yield d.VOTER_AGREEMENT, self._agreement
        yield d.VOTER_SECONDS, self._voters
        yield d.STAGE_SECONDS, self._stages
        yield d.REQUEST_SECONDS, self._durations
        yield d.OVERHEAD_SECONDS, self._overhead

    def came(self, item: Item) -> None:
        """A message was taken from the inbox, to be handled."""
        submitted = isinstance(item.message, Submission)
        if item.delivery.attempt > 1:
            self._redelivered["submission" if submitted else "ballot"] += 1
        elif submitted and item.aggregate not in self._times:
            waited = max(0, self._now() - item.delivery.stored_ms) / 1000
            self._times[item.aggregate] = _Times(self._clock(), waited)
            self._stages["inbox"].observe(waited)

    # --- See `Watch` --------------------------------------------------------------------------------------------------

    def refused(self, code: str) -> None:
        self._submissions["refused"] += 1
        self._refused[code] += 1

    def repeated(self) -> None:
        self._submissions["repeated"] += 1

    def left(self) -> None:
        self._left += 1

    def dispatched(
        self, aggregate: AggregateId, submission: Submission, received: Received, voters: tuple[str, ...]
    ) -> None:
        times = self._times.get(aggregate)
        if times and times.received:
            times.dispatched = self._clock()
            self._stages["dispatched"].observe(times.dispatched - times.received)

    def happened(self, aggregate: AggregateId, state: VotingRequest, event: RequestEvent) -> None:
        times = self._times.get(aggregate)
        if isinstance(event, VoterResult):
            self._voted(state, event, times)
        elif isinstance(event, VoterProgress):
            if times and times.dispatched and not times.progressed:
                times.progressed = self._clock()
                self._stages["first_progress"].observe(times.progressed - times.dispatched)
        elif isinstance(event, Adjudicated):
            self._adjudicated(state, event, times)
        elif isinstance(event, Received):
            self._submissions["received"] += 1
            if times:
                times.received = self._clock()
                self._stages["received"].observe(times.received - times.taken)

    def dropped(self, aggregate: AggregateId) -> None:
        self._times.pop(aggregate, None)

    # --- What is told of votes and verdicts ---------------------------------------------------------------------------

    def _voted(self, state: VotingRequest, event: VoterResult, times: _Times | None) -> None:
        assert state.received is not None
        voter, strategy = event.voter_id, state.received.rule.strategy
        if (voter, event.vote, strategy) not in self._votes:
            # What appears with its first event has no increase: all that there may be, appear together.
            self._votes.update({(voter, vote, strategy): 0 for vote in get_args(Vote)})
            self._outcomes.update({(voter, outcome): 0 for outcome in ("voted", "failed", "missing")})
            self._agreement.update({(voter, agreed): 0 for agreed in ("yes", "no")})
        self._votes[voter, event.vote, strategy] += 1
        self._outcomes[voter, "failed" if event.failed else "voted"] += 1
        if times and times.dispatched:
            first, times.last = not times.last, self._clock()
            took = times.last - times.dispatched
            self._voters[voter].observe(took)
            if first:
                self._stages["first_result"].observe(took)

    def _adjudicated(self, state: VotingRequest, event: Adjudicated, times: _Times | None) -> None:
        assert state.received is not None
        verdict = (event.final_vote, event.decided_by, event.rule.strategy)
        if verdict not in self._verdicts:
            every = product(get_args(Verdict), get_args(DecidedBy), (event.rule.strategy,))
            self._verdicts.update(dict.fromkeys(every, 0))
        self._verdicts[verdict] += 1
        for voter, said in event.details.items():
            if said == "missing":
                if event.decided_by == "deadline":
                    self._outcomes[voter, "missing"] += 1
            elif said != "abstain":
                self._agreement[voter, "yes" if said == event.final_vote else "no"] += 1
        now = self._clock()
        if times is None:  # taken over: its events tell how long it took, and no more
            took = (self._now() - milliseconds(state.received.at)) / 1000
            self._durations[event.decided_by].observe(max(0.0, took))
            return
        self._durations[event.decided_by].observe(times.inbox + now - times.taken)
        if not times.dispatched:
            return
        if times.last:
            self._stages["last_result"].observe(times.last - times.dispatched)
        if event.decided_by == "deadline":
            late = max(0, self._now() - state.deadline) / 1000
        else:
            late = now - (times.last or now)
        self._stages["verdict"].observe(late)
        self._overhead.observe(times.inbox + times.dispatched - times.taken + late)


class Watches(Watch):
    """Several that look on, each told in turn."""

    def __init__(self, *watches: Watch) -> None:
        self._watches = watches

    def dispatched(
        self, aggregate: AggregateId, submission: Submission, received: Received, voters: tuple[str, ...]
    ) -> None:
        for watch in self._watches:
            watch.dispatched(aggregate, submission, received, voters)

    def happened(self, aggregate: AggregateId, state: VotingRequest, event: RequestEvent) -> None:
        for watch in self._watches:
            watch.happened(aggregate, state, event)

    def too_late(self, state: VotingRequest, voter: str, arrived: int) -> None:
        for watch in self._watches:
            watch.too_late(state, voter, arrived)

    def dropped(self, aggregate: AggregateId) -> None:
        for watch in self._watches:
            watch.dropped(aggregate)

    def refused(self, code: str) -> None:
        for watch in self._watches:
            watch.refused(code)

    def repeated(self) -> None:
        for watch in self._watches:
            watch.repeated()

    def left(self) -> None:
        for watch in self._watches:
            watch.left()
