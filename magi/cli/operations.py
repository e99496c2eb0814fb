"""A part's operations port: what it counts and how its machine fares, for as long as it runs."""

import contextlib
import os
import shutil
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from pathlib import Path
from typing import get_args

import msgspec
import structlog
from msgspec import Struct

import magi
from magi.cli.context import Context
from magi.cli.http_get import CannotGet, get
from magi.eventstore.bus import Bus
from magi.eventstore.metrics import BusMetrics
from magi.telemetry import declarations as d
from magi.telemetry.instruments import Reading, Source
from magi.telemetry.loop_lag import LoopLag
from magi.telemetry.metric import Part
from magi.telemetry.registry import Constant, Registry

log = structlog.get_logger(__name__)

FRESH = 3.0
"""Seconds for which nat-server's answer is told again."""


@contextlib.asynccontextmanager
async def operations(ctx: Context, name: str, bus: Bus, parts: Sequence[object]) -> AsyncIterator[int | None]:
    """Show the metrics of a part in this process, on the port that it yields; None when none is wanted or had.

    Under `magi serve` any free port is used, unless one is set; elsewhere only one that is set.
    """
    settings = ctx.settings.operations
    if not settings.enabled or name not in get_args(Part) or not (settings.port or "MAGI_PART" in os.environ):
        yield None
        return
    from magi.telemetry.server import OperationsServer  # here: 0.1 s, of no use to whoever is not scraped

    lag = LoopLag()
    lag.start()
    sources: list[Source] = [Constant((d.BUILD, {magi.__version__: 1.0})), BusMetrics(bus), lag]
    sources += [part for part in parts if hasattr(part, "metrics")]
    if name == "orchestrator":
        sources.append(Machine(ctx.data, ctx.settings.nats.monitor_url))
    registry = Registry(name, sources)  # type: ignore[arg-type]
    server = OperationsServer(registry, lambda: "" if bus.connected else "no connection to NATS")
    try:
        yield await server.start(settings.host, settings.port)
    finally:
        lag.stop()
        await server.stop()


class _Config(Struct, frozen=True):
    max_storage: int = 0


class _Jsz(Struct, frozen=True):
    storage: int
    config: _Config = _Config()


class Machine:
    """The disk under the data directory, and what nats-server as a whole has stored on its own."""

    def __init__(self, data: Path, monitor_url: str) -> None:
        self._data = data
        self._url = f"{monitor_url.rstrip('/')}/jsz" if monitor_url else ""
        self._jsz: _Jsz | None = None
        self._failures = 0
        self._looked = float("-inf")

    async def refresh(self) -> None:
        if not self._url or time.monotonic() - self._looked < FRESH:
            return
        self._looked = time.monotonic()
        try:
            _, body = await get(self._url)
            self._jsz = msgspec.json.decode(body, type=_Jsz)
        except (CannotGet, msgspec.DecodeError) as error:
            self._jsz = None
            self._failures += 1
            log.debug("monitor_not_read", error=str(error))

    def metrics(self) -> Iterable[Reading]:
        yield d.POLL_FAILURES, {"monitor": self._failures}
        if self._jsz:
            yield d.STORAGE_BYTES, self._jsz.storage
            if self._jsz.config.max_storage > 0:
                yield d.STORAGE_LIMIT, self._jsz.config.max_storage
        with contextlib.suppress(OSError):  # a part alone may have no data directory
            disk = shutil.disk_usage(self._data)
            yield d.DISK_FREE, disk.free
            yield d.DISK_SIZE, disk.total
