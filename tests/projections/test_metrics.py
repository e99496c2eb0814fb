"""`magi.projections.metrics`: how far a projector says that it is."""

from magi.projections.metrics import Progress
from magi.telemetry import declarations as d
from magi.telemetry.registry import Registry
from tests.telemetry.strict import Family, read


def told(progress: Progress) -> dict[str, Family]:
    return read(Registry("projector", [progress]).expose().decode())


def test_a_projector_that_does_not_work_yet_says_so() -> None:
    found = told(Progress(["requests"]))
    assert found[d.PROJECTION_RUNNING.name].value(projection="requests") == 0
    assert not found[d.PROJECTION_LAG.name].samples


def test_it_tells_its_lag_and_when_it_was_up_to_date() -> None:
    progress = Progress(["requests", "voters"])
    progress.looked("requests", 7, 10)
    found = told(progress)
    assert found[d.PROJECTION_RUNNING.name].value(projection="requests") == 1
    assert found[d.PROJECTION_RUNNING.name].value(projection="voters") == 0
    assert found[d.PROJECTION_LAG.name].value(projection="requests") == 3
    assert not found[d.PROJECTION_CAUGHT_UP.name].samples
    progress.looked("requests", 10, 10)
    assert told(progress)[d.PROJECTION_CAUGHT_UP.name].value(projection="requests") > 0


def test_a_halt_ends_when_it_goes_on_and_a_break_counts() -> None:
    progress = Progress(["requests"])
    progress.looked("requests", 7, 10)
    progress.halted("requests")
    halted = told(progress)
    assert halted[d.PROJECTION_HALTED.name].value(projection="requests") == 1
    assert halted[d.PROJECTION_RUNNING.name].value(projection="requests") == 0
    progress.looked("requests", 8, 10)
    assert told(progress)[d.PROJECTION_HALTED.name].value(projection="requests") == 0
    progress.broke_off("requests")
    broken = told(progress)
    assert broken[d.PROJECTION_FAILURES.name].value(projection="requests") == 1
    assert not broken[d.PROJECTION_LAG.name].samples  # another projector may be at it
