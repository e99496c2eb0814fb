"""The parts of MAGI as processes of a simulation, each started as it is in earnest."""

import asyncio
import random
from collections.abc import Awaitable, Callable

from magi.domain.ids import VoterId
from magi.domain.messages import Opinion, Task
from magi.eventstore.bus import Bus, BusError
from magi.gateway.server import Gateway
from magi.gateway.settings import GatewaySettings
from magi.orchestrator.health import HealthSettings
from magi.orchestrator.orchestrator import Orchestrator, OrchestratorSettings
from magi.projections.runner import Runner
from magi.voters.agent import VoterAgent
from tests.simulation.postgres import Connection, Database, Requests
from tests.simulation.virtual import URL
from tests.voters.judges import judge_by_content

PARTITIONS = 3
FOREVER = 1_000_000

Part = Callable[[], Awaitable[None]]
"""What a process does until it ends. What it raises ends it: it is started again."""


async def _connected(name: str) -> Bus:
    return await Bus.connect(URL, name=name, attempts=FOREVER)


async def _until_broken(bus: Bus, *failed: "asyncio.Future[None]") -> None:
    waits = [asyncio.ensure_future(bus.closed.wait()), *failed]
    done, _ = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    for one in done:
        one.result()


def orchestrator(name: str) -> Part:
    async def run() -> None:
        bus = await _connected(name)
        settings = OrchestratorSettings(PARTITIONS, health=HealthSettings(enabled=False))
        part = Orchestrator(bus, settings)
        await part.start()
        await _until_broken(bus, part.failed)

    return run


def gateway(name: str) -> Part:
    async def run() -> None:
        bus = await _connected(name)
        part = Gateway(bus, GatewaySettings(host=name), partitions=PARTITIONS, panel_size=5, default_group="default")
        await part.start()
        await _until_broken(bus, part.failed)

    return run


def voter(name: str, draw: random.Random) -> Part:
    """Takes up to half a second over a task, and now and then can't judge at all at the first try."""

    async def judge(task: Task) -> Opinion:
        await asyncio.sleep(draw.random() ** 2 * 0.5)
        if task.attempt == 1 and draw.random() < 0.05:
            raise RuntimeError("not today")
        return await judge_by_content(task)

    async def run() -> None:
        bus = await _connected(f"voter {name}")
        agent = VoterAgent(bus, VoterId(name), judge)
        await agent.start()
        await _until_broken(bus)

    return run


def projector(database: Database) -> Part:
    async def run() -> None:
        bus = await _connected("projector")
        while True:
            runner = Runner(bus, Connection(database), Requests(), schema="simulated")  # type: ignore[arg-type]
            try:
                await runner.run()
            except BusError:
                await asyncio.sleep(0.2)

    return run
