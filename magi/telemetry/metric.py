"""What a metric is, before it has a value. The metrics themselves are in `declarations`."""

from typing import Literal

from msgspec import Struct

Part = Literal["orchestrator", "gateway", "voters", "projector"]
Kind = Literal["counter", "gauge", "histogram"]

EVERY_PART: tuple[Part, ...] = ("orchestrator", "gateway", "voters", "projector")

FAST: tuple[float, ...] = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)
"""Seconds, for what MAGI does itself: a healthy stage takes 1 to 10 ms."""
SLOW: tuple[float, ...] = (0.01, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0, 3600.0)
"""Seconds, for what voters take: a program milliseconds, a language model seconds, a person minutes."""
STAGES: tuple[float, ...] = (0.001, 0.0025, 0.005, *SLOW[:-2])
"""Seconds, for stages, of which some are MAGI's and some the voters'."""


class Metric(Struct, frozen=True, kw_only=True):
    """One metric, named after the conventions of Prometheus: base units, and ``_total`` for what only grows."""

    name: str
    kind: Kind
    unit: str
    """`seconds`, `bytes`, or what is counted, in the plural."""
    help: str
    """One sentence, without a full stop."""
    parts: tuple[Part, ...]
    """Whose operations port shows it."""
    labels: tuple[str, ...] = ()
    """All of them are bounded: by the protocol, by the directory, by the streams. Never anything of a request."""
    buckets: tuple[float, ...] = ()
    """Upper bounds of a histogram's buckets, ascending, without the infinite one."""


TARGET_LABELS = ("job", "instance", "part")
"""What a scraped target adds to all of its samples (`DATA/run/scrape-targets.json`)."""
