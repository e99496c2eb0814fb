"""One seed: a load under faults, then rest, then what must be true."""

import asyncio
import random
import sys
from collections import Counter
from collections.abc import Callable
from typing import Any

import structlog
from msgspec import Struct

from tests.log_rules import of_several_voters
from tests.simulation.initiators import Request
from tests.simulation.invariants import check, log_of
from tests.simulation.loop import Stuck, _process
from tests.simulation.nemesis import Nemesis
from tests.simulation.virtual import Machine
from tests.simulation.world import GHOST, VOTERS, World

LOAD = 8.0
"""Virtual seconds in which requests come and things go wrong."""
TIMEOUT = 40_000
"""Milliseconds that a panel of voters that exist has. Twice a dead voter's task comes again within that."""
DECIDED_WITHIN = 30.0
"""Virtual seconds after the last fault in which every request has its verdict, and its Initiator has seen it: ten until
another instance has a dead voter's task, five until another orchestrator has a dead one's messages, three for its pin,
and four until an Initiator asks again."""
AT_REST_WITHIN = TIMEOUT / 1000 + 10
"""… in which nothing waits any more: a submission whose orchestrator died is put off until its own deadline."""
STRATEGIES = ("minority_rule", "absolute_majority", "unanimous", "veto", {"name": "threshold", "ratio": 0.5})
ALARMING = frozenset({"error", "exception", "critical"})
EXPECTED_ERRORS = frozenset({"nats_closed", "task_left"})
"""What may be logged as an error under faults: a voter has had no chance to get its ballot through in time."""


class Outcome(Struct):
    seed: int
    problems: list[str] = []
    digest: str = ""
    """Of everything that happened, with its times."""
    seconds: float = 0.0
    """Virtual ones."""
    seen: Counter[str] = Counter()
    """What happened how often."""
    lines: list[str] = []


def simulate(seed: int, *, readable: bool = False, prepare: Callable[[World], None] = lambda world: None) -> Outcome:
    """Run a seed. `readable` keeps the trace; `prepare` may tamper with the world before it starts."""
    machine = Machine(seed, readable=readable)
    outcome = Outcome(seed, seen=machine.server.seen)
    before = structlog.get_config()
    structlog.configure(processors=[lambda *a: _note(machine, outcome, *a)], cache_logger_on_first_use=False)
    try:
        machine.run(lambda: _scenario(machine, outcome, prepare))
    except Stuck as stuck:
        outcome.problems.append(f"everything stands still: {stuck}")
    finally:
        structlog.configure(**before)
    outcome.digest, outcome.seconds = machine.trace.digest, machine.loop.elapsed
    outcome.lines = machine.trace.lines or []
    return outcome


async def _scenario(machine: Machine, outcome: Outcome, prepare: Callable[[World], None]) -> None:
    draw = random.Random(f"scenario {machine.seed}")
    world = World(machine)
    prepare(world)
    await world.start()
    nemesis = Nemesis(world, machine.seed, draw.randint(2, 10))
    await asyncio.gather(nemesis.run(LOAD), _ask(world, draw))
    nemesis.heal()
    machine.trace.note("*** no more faults")
    if not await world.until(lambda: world.decided, DECIDED_WITHIN):
        outcome.problems.append(f"not everything was decided {DECIDED_WITHIN} s after the last fault")
    elif not await world.until(lambda: world.at_rest, AT_REST_WITHIN):
        outcome.problems.append(f"something still waits {AT_REST_WITHIN} s after everything was decided")
    log = log_of(world)
    outcome.problems += check(world, log)
    outcome.seen["ballots together"] += of_several_voters(log)
    for initiator in world.initiators:
        outcome.seen["resume"] += initiator.resumed


async def _ask(world: World, draw: random.Random) -> None:
    for number in range(draw.randint(4, 12)):
        await asyncio.sleep(draw.random() ** 2 * LOAD / 5)
        draw.choice(world.initiators).ask(_request(number, draw))


def _request(number: int, draw: random.Random) -> Request:
    """Mostly to voters that exist, with time enough; sometimes to one that nobody is, or with little time."""
    panel = tuple(draw.sample(VOTERS, draw.randint(1, 3)))
    timeout, decide = TIMEOUT, draw.choice(["all", "all", "all", "early"])
    kind = draw.random()
    if kind < 0.2:
        panel, timeout, decide = (*panel[:2], GHOST), draw.randint(200, 6000), "all"
    elif kind < 0.4:
        timeout = draw.randint(150, 3000)
    answer = f"answer {draw.random()}"
    return Request(f"request {number}", "why?", answer, panel, draw.choice(STRATEGIES), decide, timeout)


def _note(machine: Machine, outcome: Outcome, logger: Any, method: str, event: dict[str, Any]) -> Any:
    """Whatever MAGI logs is counted and is a part of the trace; what it takes for its own fault is a problem."""
    if machine.trace.over:
        raise structlog.DropEvent
    name = event.get("event", "")
    outcome.seen[f"log {name}"] += 1
    process = _process.get(machine.loop.kernel).name
    error = event.pop("exc_info", None)
    about = " ".join(f"{k}={v}" for k, v in event.items() if k != "event")
    line = f"{process} {method} {name} {about}"
    machine.trace.note(line)
    if method in ALARMING and name not in EXPECTED_ERRORS:
        raised = error if isinstance(error, BaseException) else sys.exc_info()[1]
        outcome.problems.append(f"{line} {raised!r}")
    raise structlog.DropEvent
