"""Evaluates the rules every few seconds: scrape, evaluate, log, post, leave the state in a file."""

import asyncio
import os
import time
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import structlog
from msgspec import Struct

from magi.alerts.alert import Alert, Scrape, Target
from magi.alerts.evaluation import Evaluator
from magi.alerts.notices import Notice, Notices, body
from magi.alerts.rules import Rules
from magi.alerts.scraper import TIMEOUT, Scraper
from magi.alerts.state_file import AlertsState, Seen, read_state, write_state

log = structlog.get_logger(__name__)

RESTORED_WITHIN = 3600.0
"""Seconds. What was known longer ago is worth nothing any more."""
HOLD = 120.0
"""Seconds after a start for which nothing ends that had fired: parts come up, and rates need a second scrape."""
CLOCK_BACK = 300.0
"""Seconds. When the clock is set back further, all samples are from the future, and it begins anew."""

Post = Callable[[bytes, dict[str, str], Callable[[bool], None]], None]
"""Takes on a message, what log lines say of it, and whom to tell whether it was delivered. It must not wait."""


class Watching(Struct, frozen=True, kw_only=True):
    """What it goes by."""

    run: Path
    """Where its state file is."""
    rules: Rules
    rules_file: str = ""
    """For whom it is told to; empty: MAGI's own."""
    every_seconds: float = 15.0
    repeat_seconds: float = 14_400.0
    by: str = ""
    """Which MAGI this is, for who gets notices."""


class AlertWatch:
    """The loop. What goes wrong in a round is logged, and the next round is as if nothing had been."""

    def __init__(self, given: Watching, targets: Callable[[], Iterable[Target]], post: Post | None = None) -> None:
        self._given = given
        self._targets = targets
        self._post = post
        self._evaluator = Evaluator(given.rules)
        self._notices = Notices(given.repeat_seconds)
        self._firing: dict[object, Alert] = {}
        self._last = float("-inf")

    async def run(self) -> None:
        """Until cancelled; the first scrape is a round after the start, when the parts are up."""
        self._restore(read_state(self._given.run), time.time())
        scraper = Scraper(min(TIMEOUT, self._given.every_seconds))
        due = time.monotonic()
        try:
            while True:
                due = max(due + self._given.every_seconds, time.monotonic())
                await asyncio.sleep(due - time.monotonic())
                try:
                    await self.round(await scraper.scrape(self._targets()), time.time())
                except OSError as error:  # a full disk: all that is to be told has been
                    log.warning("alerts_state_not_written", error=str(error))
                except Exception:  # a mistake of ours: who warns must not be gone for that
                    log.exception("alerts_not_evaluated")
        finally:
            await scraper.close()

    async def round(self, scrapes: Sequence[Scrape], now: float) -> None:
        """Evaluate, and tell what has changed. Raises OSError when the state can't be written, after all the rest."""
        if now < self._last - CLOCK_BACK:
            log.warning("alerts_begin_anew", why="the clock was set back", seconds=round(self._last - now))
            self._evaluator = Evaluator(self._given.rules)
            self._evaluator.restore(self._firing.values(), now + HOLD)
        elif now <= self._last:
            now = self._last + 0.001
        self._last = now
        # In a thread: some ten milliseconds that the event loop has better things to do in.
        alerts = await asyncio.to_thread(self._evaluator.observe, scrapes, now)
        self._tell(alerts, now)
        if self._post:
            for notice in self._notices.due(alerts, self._evaluator.not_posted(), now):
                self._send(notice, self._post)
        await asyncio.to_thread(write_state, self._given.run, self._state(scrapes, alerts, now))

    def _restore(self, state: AlertsState | None, now: float) -> None:
        if state is None or not now - RESTORED_WITHIN < state.at <= now:
            return
        self._evaluator.restore(state.alerts, now + HOLD)
        self._notices = Notices(self._given.repeat_seconds, state.told)
        self._firing = {alert.key: alert for alert in state.alerts if alert.state == "firing"}

    def _tell(self, alerts: Iterable[Alert], now: float) -> None:
        firing: dict[object, Alert] = {alert.key: alert for alert in alerts if alert.state == "firing"}
        for key, alert in firing.items():
            if key not in self._firing:
                say = log.error if alert.severity == "critical" else log.warning
                say("alert_firing", **_shown(alert), value=alert.value, runbook=alert.runbook)
        for key, alert in self._firing.items():
            if key not in firing:
                log.info("alert_resolved", **_shown(alert), fired_seconds=round(now - (alert.firing_since or now)))
        self._firing = firing

    def _send(self, notice: Notice, post: Post) -> None:
        about = {"name": notice.name, "type": notice.type}
        post(body(notice, self._given.by), about, lambda delivered: self._notices.ended(notice, delivered))

    def _state(self, scrapes: Sequence[Scrape], alerts: Sequence[Alert], now: float) -> AlertsState:
        return AlertsState(
            at=now,
            rules=self._given.rules_file,
            pid=os.getpid(),
            targets=tuple(Seen(one.part, one.address, one.text is not None) for one in scrapes),
            alerts=tuple(alerts),
            told=dict(self._notices.told),
            failing=dict(self._evaluator.failing),
            series=self._evaluator.series,
        )


def _shown(alert: Alert) -> dict[str, object]:
    return {
        "name": alert.name,
        "severity": alert.severity,
        "summary": alert.summary,
        "labels": dict(alert.labels),
    }
