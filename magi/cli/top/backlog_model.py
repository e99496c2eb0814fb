"""What waits: the inbox by partition, tasks, streams, and what the views lack. Pure."""

from magi.cli.top.counting import Gauges
from magi.cli.top.frame import Backlog, Partition, Projection, Stream
from magi.cli.top.requests_model import Windows
from magi.cli.top.seen import Seen
from magi.eventstore import subjects
from magi.telemetry import declarations as d

BEHIND = 300.0
"""Seconds: as the alert MagiProjectionBehind."""


def backlog(windows: Windows, gauges: Gauges, seen: Seen) -> Backlog:
    partitions = _partitions(gauges, seen)
    minutes = windows.minutes
    return Backlog(
        partitions=partitions,
        streams=_streams(gauges),
        projections=_projections(gauges, seen.wall),
        untaken=_whole(sum(gauges.most_by(d.INBOX_UNTAKEN.name, "partition").values()) if partitions else None),
        tasks_untaken=_sum(gauges.most_by(d.TASKS_UNTAKEN.name, "voter")),
        tasks_at_work=_sum(gauges.most_by(d.TASKS_AT_WORK.name, "voter")),
        tasks_oldest_seconds=gauges.most(d.STREAM_OLDEST.name, stream=subjects.TASKS),
        redelivered=round(
            minutes.grown(d.REDELIVERIES.name, kind="ballot")
            + minutes.grown(d.TASK_REDELIVERIES.name)
            + minutes.grown(d.LEFT.name)
        ),
    )


def _partitions(gauges: Gauges, seen: Seen) -> tuple[Partition, ...]:
    owners: dict[str, list[str]] = {}
    for labels, value, reading in gauges.each(d.PARTITION_OWNED.name):
        found = owners.setdefault(labels.get("partition", ""), [])
        if value > 0:
            pid = seen.pids.get(reading.target.part)
            found.append(f"pid {pid}" if pid else reading.target.address)
    untaken = gauges.most_by(d.INBOX_UNTAKEN.name, "partition")
    put_off = gauges.most_by(d.INBOX_PUT_OFF.name, "partition")
    numbers = sorted(set(owners) | set(untaken), key=lambda n: (len(n), n))
    return tuple(
        Partition(n, " ".join(sorted(owners.get(n, ()))), _whole(untaken.get(n)), _whole(put_off.get(n)))
        for n in numbers
    )


def _streams(gauges: Gauges) -> tuple[Stream, ...]:
    size = gauges.most_by(d.STREAM_BYTES.name, "stream")
    used = gauges.most_by(d.STREAM_USED.name, "stream")
    oldest = gauges.most_by(d.STREAM_OLDEST.name, "stream")
    missing = gauges.most_by(d.STREAM_MISSING.name, "stream")
    return tuple(
        Stream(
            name, round(number), round(size.get(name, 0)), used.get(name), oldest.get(name), round(missing.get(name, 0))
        )
        for name, number in gauges.most_by(d.STREAM_MESSAGES.name, "stream").items()
    )


def _projections(gauges: Gauges, wall: float) -> tuple[Projection, ...]:
    running = gauges.most_by(d.PROJECTION_RUNNING.name, "projection")
    halted = gauges.most_by(d.PROJECTION_HALTED.name, "projection")
    lag = gauges.most_by(d.PROJECTION_LAG.name, "projection")
    caught_up = gauges.most_by(d.PROJECTION_CAUGHT_UP.name, "projection")
    return tuple(
        _projection(
            name,
            bool(running.get(name)),
            bool(halted.get(name)),
            _whole(lag.get(name)),
            wall - caught_up[name] if caught_up.get(name) else None,
        )
        for name in sorted(set(running) | set(halted) | set(lag))
    )


def _projection(name: str, running: bool, halted: bool, lag: int | None, since: float | None) -> Projection:
    behind = since if lag else 0.0 if lag == 0 else None
    if halted:
        return Projection(name, "critical", "halted", lag, behind)
    if not running:
        return Projection(name, "warning", "standing", lag, behind)
    late = behind is not None and behind > BEHIND
    return Projection(name, "warning" if late else "good", "running", lag, behind)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _sum(values: dict[str, float]) -> int | None:
    return round(sum(values.values())) if values else None
