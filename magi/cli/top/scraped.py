"""What one part answered to one scrape, as numbers by series."""

from collections.abc import Iterator, Mapping

from msgspec import Struct

from magi.cli.scrape import Target
from magi.telemetry.declarations import METRICS
from magi.telemetry.metric import EVERY_PART

Labels = tuple[tuple[str, str], ...]
"""Sorted by name."""
Key = tuple[str, Labels]
"""A series: the sample's name, such as ``magi_votes_total`` or ``…_seconds_bucket``, and its labels."""

_OF_ONE_PART = {metric.name: metric.parts[0] for metric in METRICS if len(metric.parts) == 1}


class Reading(Struct, frozen=True):
    """One part at one moment."""

    target: Target
    at: float
    """Seconds of a clock that never goes back."""
    samples: Mapping[Key, float] = {}
    text: str = ""
    """The same, as it came."""
    late: float = 0.0
    """Seconds for which it has owed the next answer, when this is an old one."""
    error: str = ""
    """Why there are no samples; empty when it answered."""

    @property
    def up(self) -> bool:
        return not self.error

    def value(self, name: str) -> float | None:
        """Of a series without labels; None when it isn't there."""
        return self.samples.get((name, ()))

    def series(self, name: str) -> Iterator[tuple[dict[str, str], float]]:
        """All series of that name, each with its labels."""
        for (found, labels), value in self.samples.items():
            if found == name:
                yield dict(labels), value


def read(target: Target, at: float, text: str) -> Reading:
    """What `target` answered, in Prometheus' text format; a reading with an error when it is something else."""
    from prometheus_client.parser import text_string_to_metric_families  # here: 0.1 s

    samples: dict[Key, float] = {}
    part = target.part
    try:
        for family in text_string_to_metric_families(text):
            part = part or _OF_ONE_PART.get(_declared_name(family.name, family.type), "")
            for sample in family.samples:
                samples[sample.name, tuple(sorted(sample.labels.items()))] = float(sample.value)
    except (ValueError, KeyError, IndexError) as error:  # the parser's own ways of saying so
        return Reading(target, at, error=f"not in Prometheus' text format: {error}")
    if not any(name.startswith("magi_") for name, _ in samples):
        return Reading(target, at, error="answers, but not with MAGI's metrics")
    return Reading(Target(part, target.address), at, samples, text)


def _declared_name(family: str, kind: str) -> str:
    """The parser takes ``_total`` off the names of counters."""
    return f"{family}_total" if kind == "counter" else family


def part_order(part: str) -> int:
    """Parts are listed in the order in which `magi serve` starts them; what has no name comes last."""
    return EVERY_PART.index(part) if part in EVERY_PART else len(EVERY_PART)
