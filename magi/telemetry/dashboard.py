"""Prints the Grafana dashboard: ``python -m magi.telemetry.dashboard > deploy/grafana/magi.json``.

First what an operator looks at on the first night, put together by hand; then every declared metric, in rows by part.
"""

import sys
from collections.abc import Iterator
from typing import Any

import msgspec
from msgspec import Struct

from magi.telemetry import declarations as d
from magi.telemetry.metric import EVERY_PART, Metric

_WINDOW = "$__rate_interval"
_WIDTH, _HEIGHT = 8, 7
"""Of a panel, in Grafana's grid, which is 24 wide."""


class Query(Struct, frozen=True):
    expression: str
    legend: str = ""


class Panel(Struct, frozen=True):
    title: str
    queries: tuple[Query, ...]
    unit: str
    """One of Grafana's."""
    help: str = ""


def quantiles(metric: Metric, by: str = "") -> tuple[Query, ...]:
    """The median, the 95th and the 99th percentile; with `by` only the 95th, for each value of that label."""
    rate = f"rate({metric.name}_bucket[{_WINDOW}])"
    if by:
        return (Query(f"histogram_quantile(0.95, sum by (le, {by}) ({rate}))", f"{{{{{by}}}}}"),)
    return tuple(Query(f"histogram_quantile({q}, sum by (le) ({rate}))", f"p{q * 100:g}") for q in (0.5, 0.95, 0.99))


def rate(metric: Metric, *by: str, select: str = "") -> Query:
    """Events a second."""
    return Query(_by(f"rate({metric.name}{select}[{_WINDOW}])", "sum", by), _legend(by))


def share(metric: Metric, select: str, *by: str) -> Query:
    """The part of its events that has certain labels."""
    chosen, every = (_by(f"rate({metric.name}{labels}[{_WINDOW}])", "sum", by) for labels in (select, ""))
    return Query(f"{chosen} / {every}", _legend(by))


def value(metric: Metric, *by: str, over: str = "sum") -> Query:
    """A gauge. Of what every orchestrator tells alike the greatest is taken (`over="max"`)."""
    return Query(_by(metric.name, over, by), _legend(by))


def _by(expression: str, aggregation: str, labels: tuple[str, ...]) -> str:
    return f"{aggregation} by ({', '.join(labels)}) ({expression})" if labels else f"{aggregation}({expression})"


def _legend(labels: tuple[str, ...]) -> str:
    return " ".join(f"{{{{{label}}}}}" for label in labels)


FIRST: tuple[Panel, ...] = (
    Panel("Requests", (rate(d.SUBMISSIONS, "outcome"),), "reqps"),
    Panel("Open requests", (value(d.OPEN_REQUESTS), value(d.OVERDUE_REQUESTS)), "short", "The second: overdue."),
    Panel("End to end", quantiles(d.GATEWAY_SECONDS), "s", d.GATEWAY_SECONDS.help),
    Panel("MAGI's own share", quantiles(d.OVERHEAD_SECONDS), "s", d.OVERHEAD_SECONDS.help),
    Panel("Stages", quantiles(d.STAGE_SECONDS, "stage"), "s", d.STAGE_SECONDS.help),
    Panel("Decided by", (rate(d.VERDICTS, "decided_by"),), "reqps"),
    Panel("Voters: response", quantiles(d.VOTER_SECONDS, "voter"), "s"),
    Panel("Voters: missing", (share(d.VOTER_OUTCOMES, '{outcome="missing"}', "voter"),), "percentunit"),
    Panel("Voters: pass", (share(d.VOTES, '{vote="pass"}', "voter"),), "percentunit"),
    Panel("Voters: agreement", (share(d.VOTER_AGREEMENT, '{agreed="yes"}', "voter"),), "percentunit"),
    Panel("Untaken tasks", (value(d.TASKS_UNTAKEN, "voter", over="max"),), "short"),
    Panel("Partitions without an owner", (Query(f"sum(1 - max by (partition) ({d.PARTITION_OWNED.name}))"),), "short"),
    Panel("Streams", (value(d.STREAM_BYTES, "stream", over="max"),), "bytes"),
    Panel("Projections: behind", (value(d.PROJECTION_LAG, "projection", over="min"),), "short"),
    Panel("Errors", (rate(d.GATEWAY_ERRORS, "client", "code"),), "reqps"),
)

_ALIKE = (
    d.VOTER_ACTIVE,
    d.PARTITION_OWNED,
    d.INBOX_UNTAKEN,
    d.INBOX_PUT_OFF,
    d.TASKS_UNTAKEN,
    d.TASKS_AT_WORK,
    d.STREAM_MESSAGES,
    d.STREAM_BYTES,
    d.STREAM_LAST,
    d.STREAM_MISSING,
    d.STREAM_USED,
    d.STREAM_OLDEST,
    d.STORAGE_BYTES,
    d.STORAGE_LIMIT,
    d.DISK_FREE,
    d.DISK_SIZE,
    d.PROJECTION_RUNNING,
    d.PROJECTION_HALTED,
    d.PROJECTION_POSITION,
    d.PROJECTION_CAUGHT_UP,
)
"""Gauges of which several processes tell the same: added up they would mean nothing."""
_UNITS = {"seconds": "s", "bytes": "bytes"}


def panel_of(metric: Metric) -> Panel:
    """The panel that shows one metric as it is."""
    labels = (*metric.labels, *(("part",) if metric.parts == EVERY_PART else ()))
    unit = _UNITS.get(metric.unit, "short")
    if metric.kind == "histogram":
        queries = quantiles(metric, labels[0]) if labels else quantiles(metric)
        return Panel(metric.name, queries, unit, metric.help)
    if metric.kind == "counter":
        return Panel(metric.name, (rate(metric, *labels),), "ops", metric.help)
    if metric.name.endswith(("_timestamp_seconds", "_start_time_seconds")):
        age = Query(f"time() - {_by(metric.name, 'max', labels)}", _legend(labels))
        return Panel(metric.name, (age,), "s", f"{metric.help}. Shown: how long ago")
    over = "max" if metric in _ALIKE else "sum"
    return Panel(metric.name, (value(metric, *labels, over=over),), unit, metric.help)


def dashboard() -> dict[str, Any]:
    """As Grafana imports it."""
    rows = {
        "At a glance": FIRST,
        **{title: tuple(map(panel_of, metrics)) for title, metrics in d.by_part()},
    }
    return {
        "__inputs": [{"name": "DS_PROMETHEUS", "label": "Prometheus", "type": "datasource", "pluginId": "prometheus"}],
        "uid": "magi",
        "title": "MAGI",
        "tags": ["magi"],
        "schemaVersion": 39,
        "refresh": "10s",
        "time": {"from": "now-1h", "to": "now"},
        "templating": {"list": []},
        "panels": list(_panels(rows)),
    }


def _panels(rows: dict[str, tuple[Panel, ...]]) -> Iterator[dict[str, Any]]:
    number, y = 0, 0
    for title, panels in rows.items():
        number += 1
        yield {
            "id": number,
            "type": "row",
            "title": title,
            "collapsed": False,
            "gridPos": {"x": 0, "y": y, "w": 24, "h": 1},
        }
        y += 1
        for place, panel in enumerate(panels):
            number += 1
            column, line = place % 3, place // 3
            yield _panel(number, panel, column * _WIDTH, y + line * _HEIGHT)
        y += -(-len(panels) // 3) * _HEIGHT


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    source = {"type": "prometheus", "uid": "${DS_PROMETHEUS}"}
    targets = [
        {"refId": chr(ord("A") + n), "expr": query.expression, "legendFormat": query.legend, "datasource": source}
        for n, query in enumerate(panel.queries)
    ]
    return {
        "id": number,
        "type": "timeseries",
        "title": panel.title,
        "description": panel.help,
        "datasource": source,
        "gridPos": {"x": x, "y": y, "w": _WIDTH, "h": _HEIGHT},
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0}, "overrides": []},
        "targets": targets,
    }


def as_json() -> str:
    """The file."""
    return msgspec.json.format(msgspec.json.encode(dashboard()), indent=1).decode() + "\n"


if __name__ == "__main__":
    sys.stdout.write(as_json())
