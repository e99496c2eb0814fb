"""A line for each part, and what they say together of NATS and of the whole. Pure."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime

from magi.cli.top.counting import STARTED, Gauges, Growth, Totals
from magi.cli.top.frame import UNKNOWN, Clients, Header, Level, PartLine, Server
from magi.cli.top.requests_model import Windows
from magi.cli.top.scraped import Reading, part_order
from magi.cli.top.seen import Seen
from magi.telemetry import declarations as d

_CPU, _MEMORY = "process_cpu_seconds_total", "process_resident_memory_bytes"


def parts(
    seen: Seen, now: Mapping[str, Sequence[Growth]], recent: Mapping[str, Sequence[Growth]]
) -> tuple[PartLine, ...]:
    """In the order of their kinds. `now` and `recent` are each part's growths, by its address."""
    lines = [
        _line(seen, r, Totals(now.get(r.target.address, ())), Totals(recent.get(r.target.address, ())))
        for r in seen.readings
    ]
    lines += [
        PartLine(name, "", "critical", "not there", None, None, None, None, None, None, None) for name in seen.missing
    ]
    return tuple(sorted(lines, key=lambda line: (part_order(line.part), line.part, line.address)))


def _line(seen: Seen, reading: Reading, now: Totals, recent: Totals) -> PartLine:
    target, started = reading.target, reading.value(STARTED)
    connected = reading.value(d.NATS_CONNECTED.name)
    reconnects = reading.value(d.NATS_RECONNECTS.name)
    level, says = _state(reading, connected)
    return PartLine(
        part=target.part,
        address=target.address,
        level=level,
        says=says,
        pid=seen.pids.get(target.part),
        up_seconds=max(0.0, seen.wall - started) if started else None,
        cpu=now.rate(_CPU) if reading.up and now.seconds > 0 else None,
        memory_bytes=reading.value(_MEMORY),
        loop_lag=recent.quantile(d.LOOP_LAG.name, 0.99),
        nats_connected=None if connected is None else connected > 0,
        reconnects=None if reconnects is None else round(reconnects),
    )


def _state(reading: Reading, connected: float | None) -> tuple[Level, str]:
    if not reading.up:
        return "critical", f"down: {reading.error}"
    if connected == 0:
        return "critical", "up, without NATS"
    if reading.late:
        return "warning", f"up, answers late: {reading.late:.0f} s"
    return "good", "up"


def header(seen: Seen, gauges: Gauges) -> Header:
    starts = [value for _, value, _ in gauges.each(STARTED)]
    versions = {labels.get("version", "") for labels, _, _ in gauges.each(d.BUILD.name)}
    free = [(value, reading) for _, value, reading in gauges.each(d.DISK_FREE.name)]
    least = min(free, key=lambda pair: pair[0], default=None)
    return Header(
        at=datetime.fromtimestamp(seen.wall, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z"),
        source=seen.source,
        problem=seen.problem,
        versions=tuple(sorted(versions)),
        up_seconds=max(0.0, seen.wall - min(starts)) if starts else None,
        nats=_nats(seen, gauges),
        postgres=seen.postgres if seen.postgres.level != "unknown" else _postgres(gauges),
        storage_bytes=gauges.most(d.STORAGE_BYTES.name),
        storage_limit=gauges.most(d.STORAGE_LIMIT.name),
        disk_free=least[0] if least else None,
        disk_size=least[1].value(d.DISK_SIZE.name) if least else None,
    )


def _nats(seen: Seen, gauges: Gauges) -> Server:
    """What NATS says of itself comes first, then what the parts say: it may be up, and they cut off from it."""
    connected = [value > 0 for _, value, _ in gauges.each(d.NATS_CONNECTED.name)]
    if seen.nats.level == "critical" or not connected:
        return seen.nats
    if all(connected):
        return Server("good", "up")
    if not any(connected):
        return Server("critical", "down" if seen.nats.level == "unknown" else "up, no part is connected")
    return Server("warning", f"{sum(connected)} of {len(connected)} parts")


def _postgres(gauges: Gauges) -> Server:
    """Without its address: a projection that moves has a Postgres."""
    moving = [value for _, value, _ in gauges.each(d.PROJECTION_RUNNING.name)]
    return Server("good", "views move") if any(moving) else UNKNOWN


def clients(windows: Windows, gauges: Gauges) -> Clients:
    by = gauges.total_by(d.CONNECTIONS.name, "client")
    queued, longest = gauges.total(d.QUEUE_BYTES.name), gauges.most(d.QUEUE_LONGEST.name)
    return Clients(
        initiators=round(by["initiator"]) if "initiator" in by else None,
        voters=round(by["voter"]) if "voter" in by else None,
        cut_off=round(windows.minutes.grown(d.CUT_OFF.name)),
        queued_bytes=None if queued is None else round(queued),
        longest_queue_bytes=None if longest is None else round(longest),
        live_holes=round(windows.minutes.grown(d.LIVE_HOLES.name)),
    )
