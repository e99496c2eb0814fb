"""Prints docs/metrics.md: ``python -m magi.telemetry.document > docs/metrics.md``."""

import sys
from collections.abc import Iterator

from magi.telemetry.declarations import PROCESS, by_part
from magi.telemetry.metric import EVERY_PART, Metric

_HEAD = """\
# Metrics

Every part shows its metrics at `/metrics` on a port of its own, in Prometheus' text format, and `/healthz` beside it.
Under `magi serve` that is on from the start, on any free ports of loopback; a part that runs alone shows them where
`operations.port` is set ([settings](settings.md)). The ports of a `magi serve`:

```sh
magi metrics --targets
```

The same list is in `DATA/run/scrape-targets.json` and kept up to date, for Prometheus:

```yaml
scrape_configs:
  - job_name: magi
    file_sd_configs: [{files: [/var/lib/magi/run/scrape-targets.json]}]
rule_files: [/etc/prometheus/magi-rules.yml]
```

Without Prometheus, [`magi top`](top.md) shows them live, and `magi metrics` prints those of all parts together, or with
`--part` of one. Alert rules are in
[`deploy/prometheus/magi-rules.yml`](../deploy/prometheus/magi-rules.yml), what to do about each alert in
[operations](operations.md), and a dashboard for Grafana in
[`deploy/grafana/magi.json`](../deploy/grafana/magi.json).

No label ever holds a request, an Initiator or anything that was submitted. Voters are as many as are registered, and
all other labels have the values of a protocol. What a scraped target adds: `job`, `instance`, and `part`.

This page is printed from `magi/telemetry/declarations.py` (`python -m magi.telemetry.document`). A part that wants a
metric more declares it there and yields it in its `metrics()`.
"""


def document() -> str:
    """The page."""
    return _HEAD + "".join(_sections())


def _sections() -> Iterator[str]:
    for title, metrics in by_part():
        yield f"\n## {title}\n\n| metric | type | labels | |\n|---|---|---|---|\n"
        yield from map(_row, metrics)


def _row(metric: Metric) -> str:
    labels = ", ".join(f"`{label}`" for label in metric.labels)
    text = metric.help
    if len(metric.parts) > 1 and metric.parts != EVERY_PART:
        text += f". Shown by {' and '.join(metric.parts)}"
    if metric.buckets:
        text += f". Buckets: {', '.join(f'{bound:g}' for bound in metric.buckets)}"
    if metric in PROCESS:
        text += " (Linux)"
    return f"| `{metric.name}` | {metric.kind} | {labels} | {text} |\n"


if __name__ == "__main__":
    sys.stdout.write(document())
