"""Readings for the tests of `magi top`: made by hand, as a part would show them."""

from collections.abc import Mapping

from magi.cli.scrape import Target
from magi.cli.top.scraped import Key, Reading, read
from magi.cli.top.seen import Seen

ORCHESTRATOR = Target("orchestrator", "127.0.0.1:9001")
GATEWAY = Target("gateway", "127.0.0.1:9002")


def key(series: str) -> Key:
    """Of ``name`` or ``name{label="value",…}``."""
    text = f"{series} 0\n"
    (found,) = read(ORCHESTRATOR, 0.0, f"magi_known 1\n{text}").samples.keys() - {("magi_known", ())}
    return found


def reading(at: float, samples: Mapping[str, float], target: Target = ORCHESTRATOR, started: float = 1000.0) -> Reading:
    """What `target` showed at a time; its process was started at `started`."""
    found = {key(series): value for series, value in samples.items()}
    return Reading(target, at, {**found, ("process_start_time_seconds", ()): started})


def histogram(name: str, counts: Mapping[str, float], labels: str = "") -> dict[str, float]:
    """`counts` are cumulative, by upper bound; `labels` such as ``stage="inbox"``."""
    comma = f"{labels}," if labels else ""
    found = {f'{name}_bucket{{{comma}le="{bound}"}}': count for bound, count in counts.items()}
    return {**found, f"{name}_count{{{labels}}}" if labels else f"{name}_count": counts["+Inf"]}


def seen(at: float, *readings: Reading, **more: object) -> Seen:
    """All that was looked at: by default nothing but these readings."""
    return Seen(at=at, wall=10_000.0 + at, readings=readings, source="a test", **more)  # type: ignore[arg-type]
