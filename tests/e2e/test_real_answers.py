"""Real answers through everything that `magi serve` starts: the short form of `bench.real_answers`."""

from pathlib import Path

import pytest

from bench.real_answers import run

DATA = Path(__file__).parents[3] / "shared" / "data" / "halueval_general.jsonl"


@pytest.mark.skipif(not DATA.exists(), reason=f"no real answers here: {DATA.name} is not beside the checkout")
async def test_real_answers_are_decided_once_and_told_as_they_are_stored() -> None:
    report = await run(DATA, count=150, connections=16)
    assert report.problems == []
    assert sum(report.verdicts.values()) == 150
