"""kill -9, at any moment, of any process: nothing is lost, nothing is decided twice, nobody is told anything wrong.

The short form runs always. ``MAGI_TEST_CHAOS_SECONDS=120`` makes it as long as you like, ``MAGI_TEST_CHAOS_SEED`` draws
the same requests and blows again: `just chaos SECONDS SEED`.
"""

import os
import random
import sys
from pathlib import Path

import pytest

from tests.chaos.checker import check
from tests.chaos.cluster import GHOST, TARGETS
from tests.chaos.run import run
from tests.voters.judges import expected_vote

SHORT = 12.0
"""Seconds under load."""
REQUESTS = 300
KILLS = 12
SECONDS_A_KILL = 3.0
"""After the short form's time. Who is killed ten times in a row before it is ready is given up by its supervisor."""


@pytest.mark.timeout(3600)
async def test_nothing_is_lost_or_decided_twice_whatever_is_killed(tmp_path: Path) -> None:
    seconds = float(os.environ.get("MAGI_TEST_CHAOS_SECONDS") or SHORT)
    seed = int(os.environ.get("MAGI_TEST_CHAOS_SEED") or random.SystemRandom().randrange(10**9))
    count = int(REQUESTS * max(1.0, seconds / SHORT))
    kills = KILLS + int(max(0.0, seconds - SHORT) / SECONDS_A_KILL)
    result = await run(tmp_path / "data", seed, seconds, count, kills)
    report = result.report
    sys.stdout.write(f"\n{report}\n")
    problems = result.problems + check(result.evidence, expected_vote, GHOST)
    lines = "\n".join(problems[:50])
    assert not problems, f"MAGI_TEST_CHAOS_SEED={seed}: {len(problems)} problems:\n{lines}\n{report}"
    # A run in which nothing happened shows nothing.
    assert report.kills.total() >= 10, f"seed {seed}: {report}"
    assert set(report.kills) == set(TARGETS), f"seed {seed}: {report}"
    assert report.connections > len({one.initiator for one in result.evidence.asked}), f"nobody reconnected: {report}"
    assert report.resumed, f"seed {seed}: nobody resumed: {report}"
