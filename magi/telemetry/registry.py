"""From what the parts have counted to the text that Prometheus reads. The only module that knows `prometheus-client`'s
metric families; it is imported when somebody scrapes for the first time (0.1 s).
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import accumulate
from typing import TYPE_CHECKING

from magi.telemetry import declarations
from magi.telemetry.declarations import metrics_of
from magi.telemetry.instruments import Histogram, Labels, Reading, Source, Values
from magi.telemetry.metric import Metric, Part

if TYPE_CHECKING:
    from prometheus_client import CollectorRegistry
    from prometheus_client.metrics_core import Metric as Family

_Samples = dict[tuple[str, ...], "float | Histogram"]


class Undeclared(Exception):
    """A part reports a metric that isn't declared for it, or with other labels: our mistake."""


class Registry:
    """The metrics of one part in this process, out of all its sources."""

    def __init__(self, part: Part, sources: Iterable[Source]) -> None:
        self._part = part
        self._sources = tuple(sources)
        self._collectors: CollectorRegistry | None = None

    async def refresh(self) -> None:
        """Have those sources ask that have to."""
        for source in self._sources:
            refresh = getattr(source, "refresh", None)
            if refresh:
                await refresh()

    def expose(self) -> bytes:
        """Every metric of the part in Prometheus' text format, also those without a value. Raises Undeclared."""
        from prometheus_client import CollectorRegistry, ProcessCollector, generate_latest

        if self._collectors is None:
            self._collectors = CollectorRegistry()
            self._collectors.register(_Collector(self))
            ProcessCollector(registry=self._collectors)
        return bytes(generate_latest(self._collectors))

    def families(self) -> Iterator["Family"]:
        """As `prometheus-client` has them. What several sources report is summed up."""
        metrics = [metric for metric in metrics_of(self._part) if metric not in declarations.PROCESS]
        found: dict[Metric, _Samples] = {metric: {} for metric in metrics}
        for source in self._sources:
            for metric, values in source.metrics():
                if metric not in found:
                    raise Undeclared(f"{metric.name} is not declared for the part {self._part}")
                _add(found[metric], metric, values)
        for metric, samples in found.items():
            yield _family(metric, samples)


class _Collector:
    def __init__(self, registry: Registry) -> None:
        self._registry = registry

    def collect(self) -> Iterator["Family"]:
        return self._registry.families()

    def describe(self) -> Sequence["Family"]:
        """None: the sources are not to be asked before a scrape."""
        return ()


def _add(samples: _Samples, metric: Metric, values: Values) -> None:
    by_labels: Mapping[Labels, float | Histogram] = values if isinstance(values, Mapping) else {(): values}  # type: ignore[assignment]
    for labels, value in by_labels.items():
        key = (labels,) if isinstance(labels, str) else labels
        if len(key) != len(metric.labels):
            raise Undeclared(f"{metric.name} has the labels {metric.labels}, not {key}")
        before = samples.get(key)
        samples[key] = value if before is None else _sum(before, value)


def _sum(one: float | Histogram, other: float | Histogram) -> float | Histogram:
    if isinstance(one, Histogram) and isinstance(other, Histogram):
        both = Histogram(one.bounds)
        both.counts = [a + b for a, b in zip(one.counts, other.counts, strict=True)]
        both.total = one.total + other.total
        return both
    assert not isinstance(one, Histogram)
    assert not isinstance(other, Histogram)
    return one + other


def _family(metric: Metric, samples: _Samples) -> "Family":
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily

    name, text, labels = metric.name, metric.help, metric.labels
    if metric.kind == "histogram":
        histograms = HistogramMetricFamily(name, text, labels=labels)
        for key, value in (samples if labels else samples or {(): Histogram(metric.buckets)}).items():
            assert isinstance(value, Histogram)
            cumulated = map(float, accumulate(value.counts))
            bounds = [*(repr(bound) for bound in value.bounds), "+Inf"]
            histograms.add_metric(list(key), list(zip(bounds, cumulated, strict=True)), value.total)
        return histograms
    kind = CounterMetricFamily if metric.kind == "counter" else GaugeMetricFamily
    family: CounterMetricFamily | GaugeMetricFamily = kind(name, text, labels=labels)
    if metric.kind == "counter" and not labels and not samples:
        samples = {(): 0.0}  # a counter that appears with its first event has no increase
    for key, value in samples.items():
        assert not isinstance(value, Histogram)
        family.add_metric(list(key), float(value))
    return family


class Constant:
    """A source of what doesn't change."""

    def __init__(self, *readings: Reading) -> None:
        self._readings = readings

    def metrics(self) -> Iterable[Reading]:
        return self._readings
