"""kill -9, pauses and cuts, at any moment, of anything: nothing is lost, nothing is decided twice, nobody is told
anything wrong. The short form of `just chaos`."""

import os
import random
import sys
from pathlib import Path

import pytest

from tests.chaos.run import run

SECONDS = float(os.environ.get("MAGI_TEST_CHAOS_SECONDS") or 150.0)
"""Under load. The whole takes some 30 s more, two minutes on a busy machine; it is the first that CI begins."""


@pytest.mark.timeout(1200)
async def test_nothing_is_lost_or_decided_twice_whatever_is_struck(tmp_path: Path) -> None:
    seed = int(os.environ.get("MAGI_TEST_CHAOS_SEED") or random.SystemRandom().randrange(10**9))
    result = await run(tmp_path / "data", seed, SECONDS)
    report = result.report
    sys.stdout.write(f"\n{report}\n")
    lines = "\n".join(result.problems[:50])
    assert not result.problems, f"MAGI_TEST_CHAOS_SEED={seed}: {len(result.problems)} problems:\n{lines}\n{report}"
    if report.sometimes.missing:  # eight rounds more did not bring it about: this machine is too slow to tell
        pytest.skip(f"void, seed {seed}: {', '.join(report.sometimes.missing)} never happened: {report}")
