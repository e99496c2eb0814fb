"""Reading Prometheus' text format as `promtool check metrics` does: whatever is not as it must be is an error."""

import math
import re
from collections import defaultdict
from collections.abc import Mapping

from msgspec import Struct

_LINE = re.compile(r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)(?:\{(?P<labels>.*)\})? (?P<value>\S+)")
_LABEL = re.compile(r'([a-zA-Z_][a-zA-Z0-9_]*)="((?:[^"\\\n]|\\["\\n])*)"(?:,|$)')
_SUFFIXES = ("_bucket", "_count", "_sum")

Labels = frozenset[tuple[str, str]]


class Family(Struct):
    name: str
    help: str = ""
    type: str = ""
    samples: dict[tuple[str, Labels], float] = {}

    def value(self, **labels: str) -> float:
        """Of the sample with exactly these labels."""
        return self.samples[self.name, frozenset(labels.items())]


def read(text: str) -> dict[str, Family]:
    """The families by name. Raises AssertionError for what isn't in the format, or breaks its rules."""
    assert text.endswith("\n")
    families: dict[str, Family] = {}
    current = ""
    for line in text.splitlines():
        assert line == line.strip(), line
        if line.startswith("# "):
            _, kind, name, *rest = line.split(" ", 3)
            assert kind in ("HELP", "TYPE"), line
            if kind == "HELP":
                assert name not in families, f"{name} comes twice"
                families[name] = Family(name, help=rest[0])
            else:
                assert rest[0] in ("counter", "gauge", "histogram"), line
                assert current == name, f"TYPE of {name} is not behind its HELP"
                assert not families[name].type
                families[name].type = rest[0]
            current = name
            continue
        _sample(families[current], line)
    for family in families.values():
        assert family.type, f"{family.name} has no TYPE"
        assert family.help, f"{family.name} has no HELP"
        if family.type == "histogram":
            _check_histogram(family)
    return families


def _sample(family: Family, line: str) -> None:
    found = _LINE.fullmatch(line)
    assert found, line
    name, inner = found["name"], found["labels"] or ""
    pairs = _LABEL.findall(inner)
    assert _LABEL.sub("", inner) == "", line
    labels = frozenset(pairs)
    assert len({key for key, _ in pairs}) == len(pairs), f"a label twice: {line}"
    allowed = {family.name + suffix for suffix in _SUFFIXES} if family.type == "histogram" else {family.name}
    assert name in allowed, f"{line} among those of {family.name}"
    assert (name, labels) not in family.samples, f"twice: {line}"
    value = float(found["value"])
    if family.type != "gauge":
        assert value >= 0, line
        assert not math.isnan(value), line
    family.samples[name, labels] = value


def _check_histogram(family: Family) -> None:
    """Buckets ascend and accumulate, end in infinity, and agree with the count; each series has all of them."""
    series: dict[Labels, list[tuple[float, float]]] = defaultdict(list)
    for (name, labels), value in family.samples.items():
        if name.endswith("_bucket"):
            bound = dict(labels)["le"]
            series[frozenset(pair for pair in labels if pair[0] != "le")].append((float(bound), value))
    for labels, buckets in series.items():
        bounds, counts = zip(*buckets, strict=True)
        assert list(bounds) == sorted(bounds), f"{family.name}: buckets out of order"
        assert bounds[-1] == math.inf, f"{family.name}: no bucket without a bound"
        assert list(counts) == sorted(counts), f"{family.name}: buckets are not cumulative"
        assert family.samples[f"{family.name}_count", labels] == counts[-1]
        assert (f"{family.name}_sum", labels) in family.samples
    assert len({tuple(bound for bound, _ in buckets) for buckets in series.values()}) <= 1


def label_names(family: Family) -> set[tuple[str, ...]]:
    """The sets of labels that its samples have, without a bucket's bound."""
    return {tuple(sorted(key for key, _ in labels if key != "le")) for _, labels in family.samples}


def total(families: Mapping[str, Family], name: str, **labels: str) -> float:
    """The sum of a metric's samples that have these labels; of a histogram, how many observations."""
    family = families[name]
    wanted = f"{name}_count" if family.type == "histogram" else name
    return sum(v for (n, found), v in family.samples.items() if n == wanted and set(labels.items()) <= set(found))
