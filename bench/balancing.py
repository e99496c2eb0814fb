"""How well the instances of one voter share its tasks: three over WebSocket, of capacity 1, 4 and 4, the last one slow.

Its tasks wait all at once, so that nobody is ever idle for want of one. Each instance takes its time for a task, which
gives what its capacity allows: capacity / seconds. The ratio is what they got done together to the sum of that.

    python -m bench.balancing [--seconds 5] [--judging 0.05] [--slower 10]
"""

import argparse
import asyncio
import json
import tempfile
import time
from contextlib import AsyncExitStack
from pathlib import Path

import structlog
import uvloop

from bench.environment import describe
from tests.gateway.client import Client
from tests.gateway.voters.office import opened, result
from tests.orchestrator.world import World
from tests.servers import NatsServer


class Instance:
    """A connection that judges `capacity` tasks at once, each in `judging` seconds."""

    def __init__(self, client: Client, capacity: int, judging: float) -> None:
        self.client = client
        self.capacity = capacity
        self.judging = judging
        self.accepted = 0
        self.held = 0
        """The most tasks that it had at one time."""
        self._open = 0

    @property
    def allows(self) -> float:
        """Tasks a second."""
        return self.capacity / self.judging

    async def run(self) -> None:
        await self.client.send({"type": "ready", "capacity": self.capacity})
        async with asyncio.TaskGroup() as judging:
            async for frame in self.client.connection:
                message = json.loads(frame)
                if message["type"] == "accepted":
                    self.accepted += 1
                    self._open -= 1
                elif message["type"] == "task":
                    self._open += 1
                    self.held = max(self.held, self._open)
                    judging.create_task(self._judge(message))

    async def _judge(self, task: dict[str, object]) -> None:
        await asyncio.sleep(self.judging)
        await self.client.send(result(task))


async def measure(seconds: float, judging: float, slower: float) -> None:
    with tempfile.TemporaryDirectory() as folder, NatsServer(Path(folder)) as server:
        async with AsyncExitStack() as exits:
            world = await exits.enter_async_context(World.over(server))
            office = await exits.enter_async_context(opened(world))
            plan = [(1, judging), (4, judging), (4, judging * slower)]
            instances = [
                Instance(await exits.enter_async_context(office.voter()), capacity, time_of_one)
                for capacity, time_of_one in plan
            ]
            allowed = sum(instance.allows for instance in instances)
            await office.desk.give(int(allowed * (seconds + 2 * judging * slower)) + 50, timeout=600)
            running = [asyncio.create_task(instance.run()) for instance in instances]
            await asyncio.sleep(2 * judging * slower)  # until each is in its stride
            began, before = time.monotonic(), [instance.accepted for instance in instances]
            await asyncio.sleep(seconds)
            took = time.monotonic() - began
            done = [instance.accepted - count for instance, count in zip(instances, before, strict=True)]
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)
    print(describe(seconds=seconds, judging=judging, slower=slower))
    for instance, count in zip(instances, done, strict=True):
        print(
            f"capacity {instance.capacity}, {1000 * instance.judging:.0f} ms a task: {count / took:6.1f}/s of "
            f"{instance.allows:6.1f}/s, {count / took / instance.allows:4.0%}; held at most {instance.held}"
        )
    print(f"together {sum(done) / took:.1f}/s of {allowed:.1f}/s that the capacity allows")
    print(f"ratio {sum(done) / took / allowed:.3f} (at least 0.85 is promised)")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--judging", type=float, default=0.05, help="seconds that a task takes")
    parser.add_argument("--slower", type=float, default=10.0, help="how many times slower the last instance is")
    options = parser.parse_args()
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(40))
    uvloop.run(measure(options.seconds, options.judging, options.slower))


if __name__ == "__main__":
    main()
