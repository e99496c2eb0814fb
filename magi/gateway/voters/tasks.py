"""The tasks of one connection, and what a ballot on one of them is worth. Pure: says what is to be done, does nothing.

A task is *open* from its delivery on: it takes up capacity. It is over when a result for it was accepted, or at its
deadline; then it is remembered for a while, so that whoever votes late or twice gets the answer that fits.
"""

from collections import OrderedDict

import msgspec
from msgspec import Struct

from magi.domain.errors import AlreadyVoted, Refused, UnknownTask
from magi.domain.messages import ResultBallot
from magi.gateway.errors import RateLimited
from magi.telemetry.tracing import OFF, Span

REMEMBERED = 1024
"""Tasks remembered after they are over: as many as a connection can have open at most."""
MOST_PROGRESS = 16
"""Progress of one task that may be on its way at once: as many as its request keeps of a voter."""


class OpenTask(Struct, eq=False):
    """A task that this connection was given."""

    task_id: str
    reply: str
    """Where it is acknowledged: its latest delivery's."""
    ballot_subject: str
    deadline: int
    """Milliseconds since 1970."""
    since: int
    """When it came to this connection."""
    attempt: int
    """1 for its first delivery to any instance of the voter."""
    request_id: str = ""
    """The Initiator's own name of the request."""
    span: Span = OFF
    """From its delivery until it is over."""
    over: bool = False
    """Whether it takes up no capacity any more."""
    result: ResultBallot | None = None
    """The result that is being stored, or was."""
    unanswered: int = 0
    """How often the result came whose fate is not known yet."""
    accepted: bool = False
    """Whether the result is stored and can't be lost any more."""
    said: bool = False
    """Whether anything about it was sent to the inbox by this connection: what is refused of it is told here."""
    refused: list[Refused] = msgspec.field(default_factory=list)
    """What its orchestrator refused before the voter could be told that it is accepted."""
    progress: int = 0
    """Reports of progress on their way to the inbox."""


class Tasks:
    """What a connection knows of its tasks, by their ids."""

    def __init__(self) -> None:
        self._open: dict[str, OpenTask] = {}
        self._over: OrderedDict[str, OpenTask] = OrderedDict()

    def __len__(self) -> int:
        """How many are open."""
        return len(self._open)

    def open(self) -> list[OpenTask]:
        return list(self._open.values())

    def find(self, task_id: str) -> OpenTask | None:
        """The task, open or remembered; None when this connection never had it or has forgotten it."""
        return self._open.get(task_id) or self._over.get(task_id)

    def add(self, task: OpenTask) -> None:
        self._over.pop(task.task_id, None)
        self._open[task.task_id] = task

    def end(self, task: OpenTask) -> None:
        """It takes up no capacity any more, and is remembered."""
        task.over = True
        task.span.end()
        if self._open.pop(task.task_id, None) is None:
            return
        self._over[task.task_id] = task
        if len(self._over) > REMEMBERED:
            self._over.popitem(last=False)

    def _named(self, task_id: str) -> OpenTask:
        task = self.find(task_id)
        if task is None:
            raise UnknownTask("task_id: this connection has no such task")
        return task

    def cast(self, ballot: ResultBallot) -> OpenTask:
        """A result has come. It is to be stored when it is the only unanswered one, else it is stored or about to be.

        A task whose deadline has passed is none of ours to refuse: its orchestrator says that the vote is `late`.
        Raises UnknownTask, AlreadyVoted.
        """
        task = self._named(ballot.task_id)
        if task.result not in (None, ballot):
            assert task.result
            raise AlreadyVoted(f"task_id: its result is {task.result.vote!r} already")
        task.result = ballot
        task.said = True
        if not task.accepted:
            task.unanswered += 1
        return task

    def report(self, task_id: str) -> OpenTask:
        """Progress has come: the task to store it for. Raises UnknownTask, AlreadyVoted, RateLimited."""
        task = self._named(task_id)
        if task.result:
            raise AlreadyVoted(f"task_id: its result is {task.result.vote!r} already")
        if task.progress >= MOST_PROGRESS:
            raise RateLimited(f"task_id: {MOST_PROGRESS} reports of its progress are on their way")
        task.progress += 1
        task.said = True
        return task
