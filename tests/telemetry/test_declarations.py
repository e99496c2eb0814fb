"""`magi.telemetry.declarations`: the names, units and labels follow the conventions of Prometheus."""

import re

import pytest

from magi.telemetry.declarations import METRICS, PROCESS, metrics_of
from magi.telemetry.metric import EVERY_PART, TARGET_LABELS, Metric

each = pytest.mark.parametrize("metric", METRICS, ids=lambda metric: metric.name)


def test_names_are_unique() -> None:
    names = [metric.name for metric in METRICS]
    assert len(names) == len(set(names))
    assert len(names) > 50  # none got lost on the way from the module into the tuple


@each
def test_a_name_says_whose_it_is_and_ends_in_its_base_unit(metric: Metric) -> None:
    assert re.fullmatch(r"magi(_[a-z]+)+", metric.name) or metric in PROCESS
    assert metric.name.endswith("_total") == (metric.kind == "counter")
    assert not metric.name.endswith(("_count", "_sum", "_bucket"))
    stem = metric.name.removesuffix("_total")
    for unit in ("seconds", "bytes"):
        assert stem.endswith(f"_{unit}") == (metric.unit == unit)
    for unit in ("milliseconds", "ms", "minutes", "kilobytes", "percent"):
        assert f"_{unit}" not in metric.name


@each
def test_help_is_one_sentence_without_a_full_stop_at_its_end(metric: Metric) -> None:
    assert metric.help[0].isupper() or metric.help.startswith("MAGI")
    assert not metric.help.endswith(".")
    assert "\n" not in metric.help


@each
def test_labels_are_bounded_and_leave_those_of_the_target_free(metric: Metric) -> None:
    bounded = {
        "agreed",
        "alert",
        "client",
        "code",
        "decided_by",
        "kind",
        "outcome",
        "partition",
        "projection",
        "reason",
        "source",
        "stage",
        "strategy",
        "stream",
        "verdict",
        "version",
        "vote",
        "voter",
        "why",
    }
    assert set(metric.labels) <= bounded
    assert not set(metric.labels) & {*TARGET_LABELS, "le", "quantile"}


@each
def test_only_histograms_have_buckets_and_those_ascend(metric: Metric) -> None:
    assert bool(metric.buckets) == (metric.kind == "histogram")
    assert list(metric.buckets) == sorted(set(metric.buckets))
    assert len(metric.labels) <= 1 or metric.kind != "histogram"  # `Histograms` know one


def test_every_part_has_metrics_of_its_own() -> None:
    for part in EVERY_PART:
        assert any(metric.parts == (part,) for metric in metrics_of(part))
