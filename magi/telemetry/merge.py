"""What several parts expose, as one text: each sample with the part that it is from, each metric once."""

from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prometheus_client.metrics_core import Metric as Family


def merged(exposed: Mapping[str, str]) -> str:
    """`exposed` is what each part answered, by its name. Raises ValueError for what is not in Prometheus' format."""
    from prometheus_client import CollectorRegistry, generate_latest

    families = list(_families(exposed))

    class Collector:
        def collect(self) -> Iterable["Family"]:
            return families

    registry = CollectorRegistry()
    registry.register(Collector())
    return bytes(generate_latest(registry)).decode()


def _families(exposed: Mapping[str, str]) -> Iterator["Family"]:
    from prometheus_client.metrics_core import Metric as Family
    from prometheus_client.parser import text_string_to_metric_families

    found: dict[str, Family] = {}
    for part, text in exposed.items():
        for family in text_string_to_metric_families(text):
            whole = found.setdefault(family.name, Family(family.name, family.documentation, family.type))
            for sample in family.samples:
                whole.add_sample(sample.name, {"part": part, **sample.labels}, sample.value)
    yield from found.values()
