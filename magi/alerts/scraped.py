"""From what a target answers to samples, with the labels that a scrape adds."""

from collections.abc import Set as AbstractSet

from magi.alerts.alert import Scrape
from magi.alerts.series import Labels

UP = "up"


class NotMetrics(ValueError):
    """What a target answered is not in Prometheus' text format."""


def samples(scrape: Scrape, wanted: AbstractSet[str]) -> dict[tuple[str, Labels], float]:
    """Those of the metrics that are `wanted`, by their names and labels, and `up`."""
    try:
        found = {} if scrape.text is None else _parsed(scrape, scrape.text, wanted)
        up = float(scrape.text is not None)
    except NotMetrics:
        found, up = {}, 0.0
    return {**found, (UP, target_labels(scrape)): up}


def target_labels(scrape: Scrape) -> Labels:
    return (("instance", scrape.address), ("job", scrape.job), ("part", scrape.part))


def _parsed(scrape: Scrape, text: str, wanted: AbstractSet[str]) -> dict[tuple[str, Labels], float]:
    from prometheus_client.parser import text_string_to_metric_families

    lines = [line for line in text.splitlines(keepends=True) if _name(line) in wanted]
    added = dict(target_labels(scrape))
    found: dict[tuple[str, Labels], float] = {}
    try:
        for family in text_string_to_metric_families("".join(lines)):
            for sample in family.samples:
                labels = {name: value for name, value in sample.labels.items() if value}
                for name in labels.keys() & added.keys():  # as Prometheus does without honor_labels
                    labels[f"exported_{name}"] = labels.pop(name)
                found[sample.name, tuple(sorted({**labels, **added}.items()))] = float(sample.value)
    except (ValueError, KeyError, IndexError) as error:
        raise NotMetrics(f"{scrape.part} at {scrape.address}: {error}") from error
    return found


def _name(line: str) -> str:
    """The metric's, of a line with a sample; most lines are of no interest to any rule, and parsing them costs most."""
    end = min((at for at in (line.find("{"), line.find(" "), line.find("\t")) if at >= 0), default=0)
    return line[:end]
