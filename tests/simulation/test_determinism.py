"""A seed is a run: the same one in any process, on any machine."""

import os
import subprocess
import sys

from tests.simulation.run import simulate

SEEDS = (3, 22, 97)
_PROGRAM = f"from tests.simulation.run import simulate; print(*(simulate(s).digest for s in {SEEDS}))"


def test_a_seed_is_the_same_run_in_another_process() -> None:
    def run(hash_seed: str) -> list[str]:
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", _PROGRAM], env=environment, capture_output=True, text=True, timeout=110, check=True
        )
        return done.stdout.split()

    here = [simulate(seed).digest for seed in SEEDS]
    assert run("1") == here
    assert len(set(here)) == len(SEEDS)


def test_to_keep_the_trace_changes_nothing() -> None:
    read = simulate(SEEDS[0], readable=True)
    assert read.digest == simulate(SEEDS[0]).digest
    assert read.lines
