"""Which tasks may be voted on by a callback, who may do so, and which callbacks are refused. Knows no HTTP."""

import asyncio
import contextlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, Literal

from msgspec import Struct

from magi.domain.ids import VoterId
from magi.domain.messages import Opinion
from magi.voters.http_said import NoVote, called_back
from magi.webhooks.signing import TOLERANCE, BadSignature, Flaw, Secret, Verified, verify

Why = Flaw | Literal["another_voter", "replayed", "unknown_task", "already_voted", "no_vote"]

_REMEMBERED: Final = 2 * TOLERANCE
"""Seconds. No signature fits for longer: its timestamp may be ahead by as much as it may be behind later."""


class CallbackRefused(Exception):
    """A callback that doesn't count. `why` says so in a word, the message in a sentence for the sender."""

    def __init__(self, why: Why, message: str, voter: VoterId | None = None) -> None:
        super().__init__(message)
        self.why: Why = why
        self.voter = voter
        """Whose task it was for, when there is such a task."""


class _Task(Struct):
    voter: VoterId
    secrets: Sequence[Secret]
    waiting: list["asyncio.Future[Opinion]"]
    """Those who judge it. One as a rule; a task that comes again while it is judged has two."""
    voted: bool = False


class CallbackDesk:
    """Takes the votes that come by callback, of all the HTTP voters that run in this process."""

    def __init__(self, clock: Callable[[], float] = time.time) -> None:
        self.refused: Counter[Why] = Counter()
        """How many callbacks were refused, by reason."""
        self._clock = clock
        self._signers: dict[VoterId, Sequence[Secret]] = {}
        self._open: dict[str, _Task] = {}
        self._voted: dict[str, tuple[_Task, float]] = {}
        """Tasks that have their vote, and until when that is remembered."""
        self._seen: dict[tuple[VoterId, str], tuple[str, float]] = {}
        """Callbacks that were taken, by their ids: the task, and until when that is remembered."""

    def enrol(self, voter: VoterId, secrets: Sequence[Secret]) -> None:
        """A voter that signs with these secrets runs here."""
        self._signers[voter] = secrets

    def dismiss(self, voter: VoterId, secrets: Sequence[Secret]) -> None:
        """It doesn't any more, unless it was enrolled anew with others meanwhile."""
        if self._signers.get(voter) is secrets:
            del self._signers[voter]

    @contextlib.contextmanager
    def expecting(self, voter: VoterId, secrets: Sequence[Secret], task_id: str) -> Iterator["asyncio.Future[Opinion]"]:
        """The vote of this voter on this task, if one comes by callback.

        Leaving without an error means that the task has its vote: a callback that comes later is told so.
        """
        vote: asyncio.Future[Opinion] = asyncio.get_running_loop().create_future()
        self._voted.pop(task_id, None)  # it came again: its ballot was lost
        task = self._open.setdefault(task_id, _Task(voter, secrets, []))
        task.voted = False
        task.waiting.append(vote)
        try:
            yield vote
            task.voted = True
        finally:
            vote.cancel()
            task.waiting.remove(vote)
            if not task.waiting:
                del self._open[task_id]
                if task.voted:
                    self._voted[task_id] = (task, self._clock() + _REMEMBERED)
            self._forget()

    def take(self, task_id: str, headers: Mapping[str, str], body: bytes) -> None:
        """The vote in a callback for this task. `headers` finds names in any case. Raises CallbackRefused."""
        task = self._open.get(task_id) or self._voted.get(task_id, (None,))[0]
        try:
            self._take(task_id, task, headers, body)
        except CallbackRefused as refused:
            refused.voter = task.voter if task else None
            self.refused[refused.why] += 1
            raise

    def _take(self, task_id: str, task: _Task | None, headers: Mapping[str, str], body: bytes) -> None:
        if task is None:
            # Who can't sign isn't told which tasks there are: their ids can be worked out.
            self._signed_by(self._signers, headers, body)
            raise CallbackRefused("unknown_task", "no such task is open")
        try:
            verified = verify(task.secrets, headers, body, self._clock())
        except BadSignature as bad:
            if bad.flaw == "forged":
                others = {voter: secrets for voter, secrets in self._signers.items() if voter != task.voter}
                self._signed_by(others, headers, body)
                raise CallbackRefused("another_voter", "the task is another voter's") from None
            raise CallbackRefused(bad.flaw, str(bad)) from None
        self._look_for_replay(task_id, task, verified)
        try:
            opinion = called_back(body, task_id)
        except NoVote as error:
            raise CallbackRefused("no_vote", str(error)) from None
        if task.voted:
            raise CallbackRefused("already_voted", "the task has its vote")
        task.voted = True
        self._seen.pop((task.voter, verified.message_id), None)  # to its new place at the end
        self._seen[task.voter, verified.message_id] = (task_id, self._clock() + _REMEMBERED)
        for vote in task.waiting:
            if not vote.done():
                vote.set_result(opinion)

    def _look_for_replay(self, task_id: str, task: _Task, verified: Verified) -> None:
        before, _ = self._seen.get((task.voter, verified.message_id), ("", 0.0))
        # A task that is judged again, its ballot having been lost, may well be answered in the same words.
        if before and (before != task_id or task.voted):
            raise CallbackRefused("replayed", "a callback with this webhook-id was taken already")

    def _signed_by(self, signers: Mapping[VoterId, Sequence[Secret]], headers: Mapping[str, str], body: bytes) -> None:
        """Whether any of these voters has signed it. Raises CallbackRefused when none has."""
        bad = BadSignature("forged", "no signature fits")
        for secrets in signers.values():
            try:
                verify(secrets, headers, body, self._clock())
                return
            except BadSignature as error:
                bad = error if error.flaw != "forged" else bad
        raise CallbackRefused(bad.flaw, str(bad))

    def _forget(self) -> None:
        """Drop what is over. What was remembered first is over first."""
        now = self._clock()
        remembered: tuple[dict[Any, tuple[Any, float]], ...] = (self._seen, self._voted)
        for kept in remembered:
            while kept and (first := next(iter(kept))) and kept[first][1] < now:
                del kept[first]
