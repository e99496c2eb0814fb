"""When nats-server syncs what it acknowledged to the disk: read from the server, compared with what is declared.

No stream's configuration shows it. It is in the monitoring endpoint `/jsz` (seen with 2.15.1): `config.sync_interval`
in nanoseconds, 2m when nothing is configured, and `sync_always: true` beside it when that is on, whatever the other
says. A stream with `persist_mode: async` is not synced even then; that is a field of the stream (`differences.RULES`).
"""

import asyncio
import http.client
import urllib.request

import msgspec
from msgspec import Struct

from magi.eventstore.declarations import DeclarationError
from magi.eventstore.differences import Difference
from magi.eventstore.units import format_duration, parse_duration

ALWAYS = "always"
ANY = "any"
"""Declared: whatever the server does is fine, and nobody looks."""
SERVER = "nats-server"
FIELD = "sync_interval"
TIMEOUT = 5.0
"""Seconds for the monitoring endpoint, which answers in 1 ms."""
_LARGEST_ANSWER = 16 * 1024 * 1024


class MonitorError(Exception):
    """The server's monitoring endpoint can't be read. The message names it and says why."""


class SyncInterval(Struct, frozen=True, order=True):
    """How long, at most, an acknowledged message is in memory only. Less is stronger."""

    nanoseconds: int
    """0: never, each is synced before it is acknowledged."""

    def __str__(self) -> str:
        return format_duration(self.nanoseconds) if self.nanoseconds else ALWAYS


class _Config(Struct, frozen=True):
    sync_interval: int = 0
    sync_always: bool = False


class _Jsz(Struct, frozen=True):
    config: _Config = _Config()
    disabled: bool = False


def parse_sync_interval(text: str) -> SyncInterval:
    """``"always"`` or a duration such as ``"2m"``. Raises ValueError."""
    return SyncInterval(0 if text == ALWAYS else parse_duration(text))


async def live_sync_interval(monitor_url: str) -> SyncInterval:
    """Ask the server whose monitoring endpoint is at `monitor_url` (``http://127.0.0.1:8222``). Raises MonitorError."""
    body = await asyncio.to_thread(_get, f"{monitor_url.rstrip('/')}/jsz")
    try:
        jsz = msgspec.json.decode(body, type=_Jsz)
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise MonitorError(f"{monitor_url}/jsz does not answer like nats-server: {error}") from error
    if jsz.disabled:
        raise MonitorError(f"{monitor_url}: JetStream is off on this server")
    if jsz.config.sync_always:
        return SyncInterval(0)
    if jsz.config.sync_interval <= 0:
        raise MonitorError(f"{monitor_url}/jsz does not say the sync_interval: is it nats-server 2.12 or newer?")
    return SyncInterval(jsz.config.sync_interval)


async def sync_differences(monitor_url: str, declared: str) -> list[Difference]:
    """How the server's sync interval differs from `declared`: ``always``, a duration, or ``any`` (don't look).

    What can't be verified counts as weaker. At most one Difference. Raises DeclarationError for another `declared`.
    """
    if declared == ANY:
        return []
    try:
        wanted = parse_sync_interval(declared)
    except ValueError as error:
        raise DeclarationError(f"settings: nats.sync_interval: 'always', 'any', or {error}") from error
    if not monitor_url:
        unknown = (
            "unknown: set nats.monitor_url (MAGI_NATS_MONITOR_URL) to the server's monitoring address, "
            "or nats.sync_interval (MAGI_NATS_SYNC_INTERVAL) to 'any' to go without"
        )
        return [Difference(SERVER, FIELD, str(wanted), unknown, True)]
    try:
        live = await live_sync_interval(monitor_url)
    except MonitorError as error:
        return [Difference(SERVER, FIELD, str(wanted), f"unknown: {error}", True)]
    return [] if live == wanted else [Difference(SERVER, FIELD, str(wanted), str(live), live > wanted)]


def _get(url: str) -> bytes:
    if not url.startswith(("http://", "https://")):  # urllib would open file: and ftp: as well
        raise MonitorError(f"{url!r} is not an http address: check nats.monitor_url (MAGI_NATS_MONITOR_URL)")
    # No proxy from the environment: the address is on this machine, or beside it.
    opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
    try:
        with opener.open(url, timeout=TIMEOUT) as answer:
            body: bytes = answer.read(_LARGEST_ANSWER)
            return body
    except (OSError, ValueError, http.client.HTTPException) as error:  # unreachable; malformed; not speaking HTTP
        raise MonitorError(f"{url} can't be read: {error}") from error
