"""The figures of requests, from counters: how many, how decided, how quick. Pure."""

from magi.cli.top.counting import Gauges, Totals
from magi.cli.top.frame import Latency, Requests, Shares
from magi.eventstore import subjects
from magi.telemetry import declarations as d
from magi.telemetry.metric import Metric

STAGES = ("inbox", "received", "dispatched", "first_progress", "first_result", "last_result", "verdict", "sent")
"""In the order in which a request goes through them."""


class Windows:
    """The same counters over several times."""

    def __init__(self, now: Totals, recent: Totals, minutes: Totals, ever: Totals) -> None:
        self.now = now
        """Some seconds: for rates."""
        self.recent = recent
        """A minute: for quantiles and shares."""
        self.minutes = minutes
        """Five: for what is rare."""
        self.ever = ever
        """Since the parts were started: where nothing was of late."""

    def shares(self, metric: Metric, label: str, **labels: str) -> Shares:
        """How a counter is divided by the values of a label."""
        counts = self.recent.by(metric.name, label, **labels)
        if counts:
            return Shares(counts, True)
        return Shares(self.ever.by(metric.name, label, **labels), False)

    def quantiles(self, metric: Metric, *qs: float, **labels: str) -> tuple[bool, list[float | None]]:
        """Whether they are recent, and the quantiles."""
        found = [self.recent.quantile(metric.name, q, **labels) for q in qs]
        if found[0] is not None:
            return True, found
        return False, [self.ever.quantile(metric.name, q, **labels) for q in qs]


def requests(windows: Windows, gauges: Gauges) -> Requests:
    """None where no orchestrator answers: nought would be a claim."""
    there = bool(gauges.each(d.OPEN_REQUESTS.name)) and windows.now.seconds > 0
    errors = windows.minutes.by(d.GATEWAY_ERRORS.name, "code")
    refused = windows.minutes.by(d.SUBMISSIONS_REFUSED.name, "code")  # those that the gateway let through
    for code, number in refused.items():
        errors[code] = max(number, errors.get(code, 0.0))  # the gateway passes them on: the same error, not another
    return Requests(
        received=windows.now.rate(d.SUBMISSIONS.name, outcome="received") if there else None,
        decided=windows.now.rate(d.VERDICTS.name) if there else None,
        open=gauges.total(d.OPEN_REQUESTS.name),
        overdue=gauges.total(d.OVERDUE_REQUESTS.name),
        oldest_seconds=gauges.most(d.STREAM_OLDEST.name, stream=subjects.INBOX),
        verdicts=windows.shares(d.VERDICTS, "verdict"),
        decided_by=windows.shares(d.VERDICTS, "decided_by"),
        errors=dict(sorted(errors.items(), key=lambda pair: -pair[1])),
    )


def latencies(windows: Windows) -> tuple[Latency, ...]:
    """The whole request, MAGI's own share of it, and each stage."""
    whole = [
        _latency(windows, "request", d.REQUEST_SECONDS),
        _latency(windows, "own share", d.OVERHEAD_SECONDS),
        _latency(windows, "at gateway", d.GATEWAY_SECONDS),
    ]
    stages = [_latency(windows, stage.replace("_", " "), d.STAGE_SECONDS, stage=stage) for stage in STAGES]
    return (*whole, *stages)


def _latency(windows: Windows, name: str, metric: Metric, **labels: str) -> Latency:
    recent, (p50, p99) = windows.quantiles(metric, 0.5, 0.99, **labels)
    per_second = windows.now.rate(f"{metric.name}_count", **labels)
    return Latency(name, f"p99 {name}", p50, p99, per_second, recent)


def trends(windows: Windows, gauges: Gauges) -> dict[str, float | None]:
    """What is kept of this moment for the sparklines."""
    there = bool(gauges.each(d.OPEN_REQUESTS.name)) and windows.now.seconds > 0
    found: dict[str, float | None] = {
        "received": windows.now.rate(d.SUBMISSIONS.name, outcome="received") if there else None,
        "decided": windows.now.rate(d.VERDICTS.name) if there else None,
        "open": gauges.total(d.OPEN_REQUESTS.name),
        "p99 request": windows.now.quantile(d.REQUEST_SECONDS.name, 0.99),
        "p99 own share": windows.now.quantile(d.OVERHEAD_SECONDS.name, 0.99),
        "p99 at gateway": windows.now.quantile(d.GATEWAY_SECONDS.name, 0.99),
    }
    for stage in STAGES:
        name = f"p99 {stage.replace('_', ' ')}"
        found[name] = windows.now.quantile(d.STAGE_SECONDS.name, 0.99, stage=stage)
    return found
