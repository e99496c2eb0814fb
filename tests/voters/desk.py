"""What a voter has on its desk: tasks that a test gives it, and the ballots that it has put into the inbox."""

import uuid

import msgspec

from magi.domain.clock import rfc3339
from magi.domain.ids import InitiatorId, RequestId, VoterId, request_aggregate, task_id
from magi.domain.messages import Ballot, ProgressBallot, ResultBallot, Submission, Task, decode_inbox, encode
from magi.eventstore import subjects
from magi.eventstore.patience import patiently
from magi.eventstore.presence import now_ms
from tests.orchestrator.world import INITIATOR, World
from tests.waiting import until


class _Stored(msgspec.Struct):
    data: bytes
    seq: int


class _Get(msgspec.Struct):
    message: _Stored | None = None


class Desk:
    """The tasks and ballots of one voter. No orchestrator is there to take the ballots away."""

    def __init__(self, world: World, voter: str = "a") -> None:
        self.world = world
        self.voter = VoterId(voter)
        self._given = 0

    def task(self, answer: str = "", timeout: float = 30.0, voter: str = "") -> Task:
        """A task of this voter, with `timeout` seconds left."""
        self._given += 1
        name = VoterId(voter) or self.voter
        aggregate = request_aggregate(InitiatorId(INITIATOR), RequestId(f"request {self._given}"))
        return Task(
            task_id=task_id(aggregate, name),
            request_id=f"request {self._given}",
            user_query="?",
            agent_answer=answer or f"answer {self._given}",
            deadline=rfc3339(now_ms() + int(timeout * 1000)),
            ballot_subject=subjects.ballot(aggregate, name, self.world.partitions),
        )

    async def give(self, count: int = 1, timeout: float = 30.0) -> list[Task]:
        tasks = [self.task(timeout=timeout) for _ in range(count)]
        for task in tasks:
            await self.put(encode(task))
        return tasks

    async def put(self, data: bytes) -> None:
        """Give the voter a task, once, whatever happens to the server meanwhile."""
        headers = {"Nats-Msg-Id": uuid.uuid4().hex}
        await patiently(lambda: self.world.bus.store(subjects.tasks(self.voter), data, headers), subjects.TASKS)

    async def ballots(self) -> list[Ballot]:
        """What the voter has put into the inbox, in order."""
        found: list[Ballot] = []
        start = 1
        while True:
            query = {"seq": start, "next_by_subj": f"magi.inbox.*.ballot.{self.voter}"}
            answer = await self.world.bus.request(
                f"$JS.API.STREAM.MSG.GET.{subjects.INBOX}", msgspec.json.encode(query)
            )
            message = msgspec.json.decode(answer, type=_Get).message
            if message is None:
                return found
            found += [ballot for ballot in decode_inbox(message.data) if not isinstance(ballot, Submission)]
            start = message.seq + 1

    async def results(self) -> list[ResultBallot]:
        return [ballot for ballot in await self.ballots() if isinstance(ballot, ResultBallot)]

    async def progress(self) -> list[ProgressBallot]:
        return [ballot for ballot in await self.ballots() if isinstance(ballot, ProgressBallot)]

    async def until_done(self, results: int, within: float = 30.0) -> list[ResultBallot]:
        """Wait until that many tasks are judged and none is left; return the votes."""

        async def done() -> bool:
            return await self.nothing_left() and len(await self.ballots()) >= 2 * results

        await until(done, f"{results} tasks of {self.voter} are done", within)
        return await self.results()

    async def nothing_left(self) -> bool:
        return (await self.world.state(subjects.TASKS)).messages == 0

    async def until_nothing_left(self, within: float = 30.0) -> None:
        await until(self.nothing_left, "no task is left", within)
