"""The evaluation of alert rules as `magi serve` and `magi alerts watch` run it.

Under `magi serve` it is in that process: there is one a data directory, it outlives every part that it tells about, and
a process of its own would take 60 MB for some milliseconds of work every 15 s.
"""

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Iterable
from pathlib import Path
from typing import TYPE_CHECKING

import structlog

from magi.alerts.alert import Target
from magi.alerts.rules import FILE, Rules, RulesError, load_rules
from magi.alerts.settings import AlertSettings
from magi.cli.context import Context
from magi.cli.scrape import find_targets
from magi.cli.settings import SettingsError

if TYPE_CHECKING:
    from magi.webhooks.outbox import Outbox

log = structlog.get_logger(__name__)


def rules_of(settings: AlertSettings) -> Rules:
    """Those that are set, else MAGI's. Raises RulesError."""
    return load_rules(Path(settings.rules) if settings.rules else FILE)


def of_serve(ctx: Context) -> Callable[[], list[Target]]:
    """The parts of a `magi serve`, as far as they have come up."""

    def targets() -> list[Target]:
        found = find_targets(ctx.data / "run", ctx.settings.operations.host)
        return [Target(target.part, target.address) for target in found]

    return targets


@contextlib.asynccontextmanager
async def alerts_of_serve(ctx: Context) -> AsyncIterator[None]:
    """Evaluate the rules over the parts for as long as this lasts, if that is wanted and they show metrics."""
    if not ctx.settings.alerts.enabled or not ctx.settings.operations.enabled:
        yield
        return
    task = asyncio.create_task(_unharmed(watch(ctx, of_serve(ctx))))
    try:
        yield
    finally:
        task.cancel()
        await asyncio.wait([task])


async def _unharmed(work: Coroutine[None, None, None]) -> None:
    """What can't warn mustn't stop what decides: the log says why there are no alerts."""
    try:
        await work
    except (RulesError, SettingsError) as error:
        log.error("alerts_not_evaluated", error=str(error))
    except Exception:  # a mistake of ours
        log.exception("alerts_not_evaluated")


async def watch(ctx: Context, targets: Callable[[], Iterable[Target]]) -> None:
    """Evaluate until cancelled. Raises RulesError, SettingsError."""
    from magi.alerts.watch import AlertWatch, Watching  # here: aiohttp, when everything else is up

    settings = ctx.settings.alerts
    given = Watching(
        run=ctx.data / "run",
        rules=await asyncio.to_thread(rules_of, settings),
        rules_file=settings.rules,
        every_seconds=settings.every_seconds,
        repeat_seconds=settings.repeat_seconds,
        by=f"magi@{socket.gethostname()}",
    )
    async with _outbox(settings) as outbox:
        await AlertWatch(given, targets, outbox.put if outbox else None).run()


@contextlib.asynccontextmanager
async def _outbox(settings: AlertSettings) -> AsyncIterator["Outbox | None"]:
    if not settings.webhook_url:
        yield None
        return
    from magi.webhooks.outbox import Outbox, read_secret  # here: few need an HTTP client

    try:
        outbox = Outbox(settings.webhook_url, read_secret(settings.webhook_secret_file))
    except (OSError, ValueError) as error:
        raise SettingsError(f"alerts.webhook_url or alerts.webhook_secret_file: {error}") from error
    await outbox.start()
    try:
        yield outbox
    finally:
        await outbox.stop()
