"""Three nats-servers, the leader killed under load: the short form of `just chaos cluster`."""

import os
import random
import sys
from pathlib import Path

import pytest

from tests.chaos.three_servers import run

KILLS = 1


@pytest.mark.timeout(900)
async def test_nothing_acknowledged_is_lost_when_the_leader_is_killed(tmp_path: Path) -> None:
    seed = int(os.environ.get("MAGI_TEST_CHAOS_SEED") or random.SystemRandom().randrange(10**9))
    report, problems = await run(tmp_path, seed, 0.0, KILLS)
    sys.stdout.write(f"\n{report}\n")
    lines = "\n".join(problems[:50])
    assert not problems, f"MAGI_TEST_CHAOS_SEED={seed}: {len(problems)} problems:\n{lines}\n{report}"
