"""A whole MAGI of one seed: its processes, started again whenever they end, and those who ask it something."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable

from magi.domain import initiator as initiators
from magi.domain import voter_commands as voters
from magi.domain.ids import VoterId
from magi.domain.tokens import ENTROPY, new_token, token_hash
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.declarations import Overrides, load_declarations
from magi.eventstore.directory import change_initiator, change_voter, directory_log
from magi.eventstore.presence import now_ms
from magi.eventstore.streams import apply
from tests.simulation import parts
from tests.simulation.initiators import Initiator
from tests.simulation.loop import Process
from tests.simulation.parts import Part
from tests.simulation.postgres import Database
from tests.simulation.stream import Stored
from tests.simulation.virtual import URL, Machine

VOTERS = ("a", "b", "c")
GHOST = "ghost"
"""A voter that nobody is."""
GATEWAYS = ["gateway-0", "gateway-1"]
INITIATORS = ("initiator-0", "initiator-1")


class Running:
    """A part, through all of its processes."""

    def __init__(self, name: str, part: Part) -> None:
        self.name = name
        self.part = part
        self.process = Process(name)
        self.starts = 0


class World:
    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.loop = machine.loop
        self.server = machine.server
        self.draw = random.Random(f"parts {machine.seed}")
        self.copies = random.Random(f"copies {machine.seed}").choice([1, 3])
        """Of each stream."""
        self.database = Database()
        self.seen: Counter[str] = machine.server.seen
        self.problems: list[str] = []
        """What must not be, seen while it ran."""
        self.healing = False
        """No more faults: whoever ends is started at once."""
        self.stored: list[tuple[str, Stored]] = []
        """Everything that any stream ever stored, with the stream's name."""
        named: dict[str, Part] = {name: parts.gateway(name) for name in GATEWAYS}
        named |= {f"orchestrator-{n}": parts.orchestrator(f"orchestrator-{n}") for n in range(2)}
        for number, voter in enumerate((*VOTERS, VOTERS[0])):
            named[f"voter-{voter}-{number}"] = parts.voter(voter, random.Random(f"judge {machine.seed} {number}"))
        named["projector"] = parts.projector(self.database)
        self.parts = {name: Running(name, part) for name, part in named.items()}
        self.initiators: list[Initiator] = []
        self._tasks: list[asyncio.Task[None]] = []

    # --- The beginning ------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        """The streams, the directory, and every process."""
        self.loop.set_exception_handler(self._on_exception)
        self.server.on_stored = lambda stream, message: self.stored.append((stream, message))
        operator = Process("operator")
        tokens: dict[str, str] = await self.loop.spawn(operator, self._set_up())
        for running in self.parts.values():
            self._start(running)
        for name in INITIATORS:
            draw = random.Random(f"{name} {self.machine.seed}")
            initiator = Initiator(name, tokens[name], GATEWAYS, draw)
            self.initiators.append(initiator)
            self._tasks.append(self.loop.spawn(Process(name), initiator.run()))

    async def _set_up(self) -> dict[str, str]:
        bus = await Bus.connect(URL, name="operator")
        overrides = Overrides(partitions=parts.PARTITIONS, replicas=self.copies)
        await apply(bus.nc, load_declarations(overrides=overrides))
        directory = directory_log(bus)
        await directory.start()
        for voter in (*VOTERS, GHOST):
            command = voters.Register(voter, "nats", f"the voter {voter}", "default", "", "test", now_ms())
            await change_voter(directory, command)
            await ensure_task_consumer(bus, VoterId(voter))
        tokens = {}
        for name in INITIATORS:
            await change_initiator(directory, initiators.Register(name, "simulated", "test", now_ms()))
            tokens[name] = new_token("i", self.draw.randbytes(ENTROPY))
            command_ = initiators.IssueToken(name, token_hash(tokens[name]), "test", now_ms())
            await change_initiator(directory, command_)
        await bus.close()
        return tokens

    # --- Processes ----------------------------------------------------------------------------------------------------

    def _start(self, running: Running) -> None:
        running.process = Process(running.name)
        running.starts += 1
        running.process.on_death.append(lambda: self._died(running))
        self.server.trace.note(f"{running.name} starts")
        self.loop.spawn(running.process, self._run(running, running.process))

    async def _run(self, running: Running, process: Process) -> None:
        """As a process does: when its main function ends, so does everything else in it."""
        try:
            await running.part()
            why = "it ended"
        except Exception as error:
            why = repr(error)
        self.server.trace.note(f"{running.name} ends: {why}")
        if not self.server.trace.over:
            self.seen["ended by itself"] += 1
        self.loop.kernel.context.run(self.loop.call_soon, self.loop.kill, process)

    def _died(self, running: Running) -> None:
        self.server.trace.note(f"{running.name} is dead")
        pause = 0.1 if self.healing else 0.05 + 3 * self.draw.random() ** 2
        self.machine.network.call(pause, self._start, running)

    def _on_exception(self, loop: asyncio.AbstractEventLoop, context: dict[str, object]) -> None:
        error = context.get("exception")
        self.problems.append(f"nobody caught: {context.get('message')}: {error!r}")

    # --- The end ------------------------------------------------------------------------------------------------------

    async def until(self, condition: Callable[[], bool], within: float) -> bool:
        """Whether it came true within so many seconds."""
        end = self.loop.elapsed + within
        while not condition():
            if self.loop.elapsed > end:
                return False
            await asyncio.sleep(0.25)
        return True

    @property
    def decided(self) -> bool:
        return all(initiator.waiting == 0 for initiator in self.initiators)

    @property
    def at_rest(self) -> bool:
        """Nothing waits anywhere, and the projection has everything."""
        queues = (subjects.INBOX, subjects.TASKS)
        for name in queues:
            stream = self.server.streams[name]
            stream.expire(self.server.now())
            if stream.messages:
                return False
        position = self.database.position
        return position is not None and position[1] == self.server.streams[subjects.LOG].last_seq
