"""`magi.telemetry.merge`: the parts' metrics as one text."""

from magi.telemetry import declarations as d
from magi.telemetry.instruments import Histogram
from magi.telemetry.merge import merged
from magi.telemetry.registry import Constant, Registry
from tests.telemetry.strict import read, total


def test_each_metric_comes_once_and_each_sample_with_its_part() -> None:
    took = Histogram(d.STAGE_SECONDS.buckets)
    took.observe(0.02)
    parts = {
        "orchestrator": [Constant((d.NATS_RECONNECTS, 1), (d.STAGE_SECONDS, {"inbox": took}))],
        "gateway": [Constant((d.NATS_RECONNECTS, 2), (d.STAGE_SECONDS, {"sent": took}))],
    }
    texts = {part: Registry(part, sources).expose().decode() for part, sources in parts.items()}  # type: ignore[arg-type]
    families = read(merged(texts))
    assert families[d.NATS_RECONNECTS.name].value(part="gateway") == 2
    assert families[d.NATS_RECONNECTS.name].value(part="orchestrator") == 1
    assert total(families, d.STAGE_SECONDS.name, stage="sent", part="gateway") == 1
    assert total(families, d.STAGE_SECONDS.name) == 2
