"""`magi.telemetry.registry`: what the sources tell, as Prometheus reads it."""

from collections.abc import Iterable

import pytest

from magi.telemetry import declarations as d
from magi.telemetry.instruments import Histogram, Reading
from magi.telemetry.registry import Constant, Registry, Undeclared
from tests.telemetry.strict import read, total


def exposed(*readings: Reading, part: str = "orchestrator") -> dict[str, object]:
    return dict(read(Registry(part, [Constant(*readings)]).expose().decode()))  # type: ignore[arg-type]


def test_every_declared_metric_is_shown_even_before_anything_happened() -> None:
    shown = exposed()
    assert set(shown) == {metric.name for metric in d.metrics_of("orchestrator")}


def test_a_counter_without_labels_begins_at_zero_and_a_histogram_with_empty_buckets() -> None:
    families = read(Registry("gateway", []).expose().decode())
    assert families[d.LIVE_HOLES.name].value() == 0
    assert families[d.GATEWAY_SECONDS.name].samples[f"{d.GATEWAY_SECONDS.name}_count", frozenset()] == 0


def test_what_several_sources_tell_is_added_up() -> None:
    fast, slow = Histogram(d.VOTER_SECONDS.buckets), Histogram(d.VOTER_SECONDS.buckets)
    fast.observe(0.02)
    slow.observe(40.0)
    one = Constant((d.LEFT, 2), (d.BALLOTS_REFUSED, {"late": 1}), (d.VOTER_SECONDS, {"x": fast}))
    two = Constant((d.LEFT, 3), (d.BALLOTS_REFUSED, {"late": 1, "not_on_panel": 4}), (d.VOTER_SECONDS, {"x": slow}))
    families = read(Registry("orchestrator", [one, two]).expose().decode())
    assert families[d.LEFT.name].value() == 5
    assert families[d.BALLOTS_REFUSED.name].value(code="late") == 2
    assert families[d.BALLOTS_REFUSED.name].value(code="not_on_panel") == 4
    assert total(families, d.VOTER_SECONDS.name, voter="x") == 2


@pytest.mark.parametrize(
    "reading", [(d.GATEWAY_OPEN, 1), (d.VERDICTS, {"pass": 1}), (d.BALLOTS_REFUSED, 1), (d.LEFT, {"x": 1})]
)
def test_a_metric_of_another_part_or_with_other_labels_is_refused(reading: Reading) -> None:
    with pytest.raises(Undeclared):
        exposed(reading)


def test_values_that_could_break_the_format_are_escaped() -> None:
    families = read(Registry("gateway", [Constant((d.BUILD, {'1"\n\\': 1.0}))]).expose().decode())
    assert families[d.BUILD.name].value(version='1\\"\\n\\\\') == 1


async def test_sources_that_poll_are_asked_to_before() -> None:
    class Polls:
        polled = 0

        async def refresh(self) -> None:
            self.polled += 1

        def metrics(self) -> Iterable[Reading]:
            yield d.LEFT, self.polled

    registry = Registry("orchestrator", [Polls()])
    await registry.refresh()
    assert read(registry.expose().decode())[d.LEFT.name].value() == 1
