"""What `magi doctor` looks at in NATS: version, clock, limits, streams, durability. Each `judge_…` is pure."""

import time
from collections.abc import Sequence

import msgspec
from msgspec import Struct

from magi.cli.checks_lost import check_lost
from magi.cli.context import Context
from magi.cli.findings import Finding, error, ok, warning
from magi.cli.http_get import CannotGet, get
from magi.cli.sizes import rough_size
from magi.domain.clock import milliseconds, rfc3339
from magi.eventstore import subjects
from magi.eventstore.bus import Bus
from magi.eventstore.differences import Difference
from magi.eventstore.durability import ALWAYS, ANY, MonitorError, live_sync_interval
from magi.eventstore.streams import diff

OLDEST_SERVER = (2, 12)
"""The oldest nats-server with all that is used: message TTLs, batched direct gets and pinned consumers came with 2.11,
atomic batches with 2.12."""
TESTED_SERVER = (2, 15)
CLOCK_WARNING = 500
"""Milliseconds. Times of events stop making sense to a reader; a timer comes as much too early or late."""
MUCH, NEARLY_ALL = 0.8, 0.98
"""Of a limit: time to look, and time to act."""
CLOCK_ERROR = 5_000
"""Milliseconds. A voter whose clock is as wrong gives tasks up, or votes too late."""


def check_server(bus: Bus) -> Finding:
    """Which nats-server it is."""
    version, url = bus.nc.connected_server_version, bus.nc.connected_url
    return judge_server(f"{version.major}.{version.minor}.{version.patch}", url.netloc if url else "?")


def judge_server(version: str, address: str) -> Finding:
    found = f"nats-server {version} at {address.rpartition('@')[2]}"
    numbers = tuple(int(part) for part in version.split(".")[:2] if part.isdigit())
    if numbers < OLDEST_SERVER:
        return error("nats", found, f"MAGI needs nats-server {_dotted(OLDEST_SERVER)} or newer")
    if numbers < TESTED_SERVER:
        return warning("nats", found, f"MAGI is tested with nats-server {_dotted(TESTED_SERVER)}")
    return ok("nats", found)


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(map(str, version))


class _Info(Struct, frozen=True):
    ts: str = ""


class _Varz(Struct, frozen=True):
    now: str = ""


async def _monitor_time(monitor_url: str) -> _Info:
    try:
        _, body = await get(f"{monitor_url.rstrip('/')}/varz")
        return _Info(msgspec.json.decode(body, type=_Varz).now)
    except (CannotGet, msgspec.DecodeError):
        return _Info()


async def check_clock(bus: Bus, monitor_url: str = "") -> Finding:
    """This machine's clock beside that of the server that leads the log, else of the monitored one. Raises BusError."""
    before = time.time_ns()
    answer = msgspec.json.decode(await bus.request(f"$JS.API.STREAM.INFO.{subjects.LOG}"), type=_Info)
    after = time.time_ns()
    if not answer.ts and monitor_url:
        before = time.time_ns()
        answer = await _monitor_time(monitor_url)
        after = time.time_ns()
    if not answer.ts:
        return warning(
            "clock", f"nats-server didn't tell its time: there is no {subjects.LOG}", "see the streams below"
        )
    return judge_clock(milliseconds(answer.ts), before // 1_000_000, after // 1_000_000)


def judge_clock(server: int, before: int, after: int, whose: str = "nats-server") -> Finding:
    """All in milliseconds since 1970: the server's answer, and our clock before and after it."""
    apart = max(before - server, server - after, 0)
    if apart <= CLOCK_WARNING:
        return ok("clock", f"as {whose}'s, within {max(after - before, 1)} ms")
    advice = "set both clocks by NTP: deadlines are compared with the clock of the machine that a part runs on"
    found = f"{apart / 1000:.1f} s {'behind' if server > after else 'ahead of'} {whose}'s ({rfc3339(server)})"
    return (error if apart > CLOCK_ERROR else warning)("clock", found, advice)


async def check_streams(ctx: Context, bus: Bus) -> list[Finding]:
    """The streams beside their declarations, and what became of those that are missing. Raises StreamsError,
    DeclarationError."""
    differences = await diff(bus.nc, ctx.declarations())
    found = await check_lost(ctx, bus, differences)
    there = [difference for difference in differences if difference.field != "stream"]
    return [*found, *(judge_streams(there) if there or not found else ())]


def judge_streams(differences: Sequence[Difference]) -> list[Finding]:
    if not differences:
        return [ok("streams", "as declared")]
    advice = "`magi streams apply` mends it; `magi streams diff` shows all of it"
    return [
        (error if d.weaker else warning)("streams", f"{d.stream}: {d.field} is {d.live}, declared {d.declared}", advice)
        for d in differences
    ]


async def check_durability(monitor_url: str, declared: str, copies: int = 1) -> Finding:
    """When nats-server syncs to the disk, as it says itself. `copies`: of the log."""
    if not monitor_url:
        advice = "set nats.monitor_url to its monitoring address"
        if declared == ANY:
            return warning("sync_interval", "unknown, and declared to be any", advice)
        return error("sync_interval", f"unknown, declared {declared}", advice + ", or nats.sync_interval to any")
    try:
        live = await live_sync_interval(monitor_url)
    except MonitorError as problem:
        return error("sync_interval", f"unknown: {problem}", "check nats.monitor_url")
    return judge_durability(str(live), declared, copies)


def judge_durability(live: str, declared: str, copies: int = 1) -> Finding:
    """Both as text: ``always`` or a duration. That it is no weaker than declared is said by `magi streams check`."""
    advice = 'set sync_interval: "always" in the jetstream block of nats-server\'s configuration, and restart it'
    if live == ALWAYS:
        return ok("sync_interval", "always: what is acknowledged is on disk")
    if copies > 1:
        found = f"{live}: a power cut of all servers at once loses what was acknowledged within that time"
    else:
        found = f"{live}, with one copy: a power cut loses what was acknowledged within that time"
    if declared not in (ANY, live):
        return error("sync_interval", f"{found}; declared {declared}", advice)
    return warning("sync_interval", f"{found} (declared {declared})", f"{advice}; then nats.sync_interval = always")


class Limits(Struct, frozen=True):
    """What JetStream allows; below 0: no limit."""

    max_storage: int = -1
    max_streams: int = -1
    max_consumers: int = -1


class Account(Struct, frozen=True):
    """What our account uses, and may."""

    storage: int = 0
    streams: int = 0
    consumers: int = 0
    limits: Limits = Limits()


class _Config(Struct, frozen=True):
    max_storage: int = -1


class _Jsz(Struct, frozen=True):
    storage: int = 0
    config: _Config = _Config()


async def check_limits(bus: Bus, monitor_url: str) -> list[Finding]:
    """What is used of what the account, and the server as a whole, may store. Raises BusError."""
    account = msgspec.json.decode(await bus.request("$JS.API.INFO"), type=Account)
    server = _Jsz()
    if monitor_url:
        try:
            _, body = await get(f"{monitor_url.rstrip('/')}/jsz")
            server = msgspec.json.decode(body, type=_Jsz)
        except (CannotGet, msgspec.DecodeError):
            pass  # said already, where its sync_interval is looked for
    return judge_limits(account, server.storage, server.config.max_storage)


def judge_limits(account: Account, stored: int, max_stored: int) -> list[Finding]:
    """`stored` and `max_stored` are the whole server's, in bytes; -1 is no limit."""
    rows = [
        (f"of {_size(account.limits.max_storage)} for this account", account.storage, account.limits.max_storage),
        (f"of {_size(max_stored)} for the whole server", stored, max_stored),
        (f"of {account.limits.max_streams} streams", account.streams, account.limits.max_streams),
        (f"of {account.limits.max_consumers} consumers", account.consumers, account.limits.max_consumers),
    ]
    advice = "raise the limit in nats-server's configuration, or make room"
    found = []
    for what, used, limit in rows:
        share = used / limit if limit > 0 else 0.0
        if share >= NEARLY_ALL:
            found.append(error("jetstream", f"{share:.0%} {what} used", advice))
        elif share >= MUCH:
            found.append(warning("jetstream", f"{share:.0%} {what} used", advice))
    amount = f"{_size(account.storage)} in {account.streams} streams, {account.consumers} consumers"
    room = f"{_size(max_stored)} for the whole server" if max_stored > 0 else "no limit"
    return found or [ok("jetstream", f"{amount}; {room}")]


def _size(size: int) -> str:
    return rough_size(size) if size >= 0 else "no limit"
