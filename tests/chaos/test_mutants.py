"""The checker sees bugs of the product itself: real processes with six of them, each under its own Initiator's name."""

import os
import random
import sys
from pathlib import Path

import pytest

from magi.domain.ids import InitiatorId, RequestId, request_aggregate
from tests.chaos.blows import Struck
from tests.chaos.checker import Evidence, check
from tests.chaos.clients import Initiator
from tests.chaos.cluster import CLIENTS, ORCHESTRATORS, ROOT, WITHOUT_VIEWS, Cluster, running
from tests.chaos.content import GHOST
from tests.chaos.echo import Echo
from tests.chaos.evidence import alone, log_of
from tests.chaos.mutants import CAUGHT_BY, SOUND
from tests.chaos.nemesis import BEAT, Blow, strike
from tests.chaos.run import PATIENCE, all_decided, load, talking
from tests.voters.judges import expected_vote

SECONDS = 4.0
"""Of each round."""
ROUNDS = 8
"""At most, until all are caught: one may be enough, and a bug that shows itself rarely needs more than one blow."""
RATE = 40
"""Requests a second, of all Initiators together: an orchestrator has something in hand whenever it is struck."""
ECHO = 0.3
BLOWS: tuple[tuple[str, Blow], ...] = (
    (CLIENTS, "cut"),
    (ORCHESTRATORS[0], "mute"),
    (CLIENTS, "cut"),
    (ORCHESTRATORS[1], "mute"),
    (ORCHESTRATORS[0], "freeze"),
    (CLIENTS, "cut"),
    (ORCHESTRATORS[1], "freeze"),
)


@pytest.mark.timeout(900)
async def test_each_of_six_planted_bugs_is_caught_and_what_is_sound_is_not_blamed(tmp_path: Path) -> None:
    seed = int(os.environ.get("MAGI_TEST_CHAOS_SEED") or random.SystemRandom().randrange(10**9))
    path = os.pathsep.join((str(Path(__file__).parent / "planting"), str(ROOT)))
    struck, caught = Struck(), dict[str, list[str]]()
    async with (
        running(tmp_path / "data", WITHOUT_VIEWS, {"PYTHONPATH": path}) as cluster,
        talking(cluster, [SOUND, *CAUGHT_BY]) as initiators,
    ):
        echo = Echo(cluster.bus, seed, ECHO)
        await echo.start()
        for number in range(ROUNDS):
            draw = random.Random(seed + number)
            strikes = [strike(draw, BEAT * (n + 1), target, blow) for n, (target, blow) in enumerate(BLOWS)]
            await load(cluster, initiators, seed + number, SECONDS, RATE, strikes, struck)
            await all_decided(initiators[:1], PATIENCE)
            problems = await _problems(cluster, initiators)
            assert problems.pop(SOUND) == [], f"MAGI_TEST_CHAOS_SEED={seed}"
            for mutant, phrases in CAUGHT_BY.items():
                said = [problem for problem in problems[mutant] if any(phrase in problem for phrase in phrases)]
                caught.setdefault(mutant, []).extend(said)
            if all(caught.values()):
                break
    summary = "\n".join(f"{mutant}: {len(said)}, as {said[:1]}" for mutant, said in caught.items())
    sys.stdout.write(f"\n{number + 1} rounds, {struck.count}\n{summary}\n")
    assert all(caught.values()), f"MAGI_TEST_CHAOS_SEED={seed}: not all were caught:\n{summary}"


async def _problems(cluster: Cluster, initiators: list[Initiator]) -> dict[str, list[str]]:
    """What is wrong with each Initiator's requests, as if nobody else had asked anything."""
    log = await log_of(cluster)
    problems = {}
    for initiator in initiators:
        name = InitiatorId(initiator.name)
        asked = list(initiator.asked.values())
        own = {request_aggregate(name, RequestId(one.request.request_id)) for one in asked}
        problems[initiator.name] = check(Evidence(asked, alone(log, own)), expected_vote, GHOST)
    return problems
