"""Alerts as webhooks, signed after Standard Webhooks: ``{"type": "voter.ejected", "timestamp": …, "data": {…}}``.

A queue is between who raises an alert and the network: when it is full the alert is dropped, and the log says so.
"""

import asyncio
import time
import uuid
from collections.abc import Sequence
from pathlib import Path

import msgspec
import structlog
from aiohttp import ClientSession

from magi.orchestrator.alerts import Alert
from magi.webhooks.addresses import WITH_PRIVATE, checked_url
from magi.webhooks.client import CallError, open_session
from magi.webhooks.delivery import Pauses, deliver
from magi.webhooks.signing import Secret

log = structlog.get_logger(__name__)

WAITING = 100
"""Alerts that wait for their turn at most: a fleet of voters that all fail at once makes so many, and no more."""
GIVE_UP_AFTER = 300.0
"""Seconds until an alert that nobody takes is dropped: so long a restart of the receiver may take."""
ATTEMPT = 10.0
"""Seconds that one try may take."""


def read_secret(path: str) -> list[Secret]:
    """The secret in a file, or none when no file is named. Raises OSError, UnicodeDecodeError, BadSecret."""
    return [Secret(Path(path).read_text("utf-8").strip())] if path else []


def body(alert: Alert) -> bytes:
    """What is posted."""
    data = {"voter": alert.voter, "severity": alert.severity, "why": alert.why, "by": alert.by}
    if alert.until:
        data |= {"until": alert.until, "ejections": alert.ejections}  # type: ignore[dict-item]
    return msgspec.json.encode({"type": alert.name, "timestamp": alert.at, "data": data})


class AlertWebhook:
    """Posts alerts to one URL, one after the other. The URL is the operator's: it may be on a private network."""

    def __init__(self, url: str, secrets: Sequence[Secret], pauses: Pauses = Pauses()) -> None:  # noqa: B008 - frozen
        """Raises BadUrl, AddressRefused for a URL that can't be called."""
        checked_url(url, WITH_PRIVATE)
        self._url = url
        self._secrets = tuple(secrets)
        self._pauses = pauses
        self._queue: asyncio.Queue[Alert] = asyncio.Queue(WAITING)
        self._task: asyncio.Task[None] | None = None
        self._session: ClientSession | None = None

    async def start(self) -> None:
        self._session = open_session(WITH_PRIVATE)
        self._task = asyncio.create_task(self._post_all(self._session))

    async def stop(self) -> None:
        """What was not delivered is dropped: the directory has the event, and the log the alert."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._session:
            await self._session.close()

    def __call__(self, alert: Alert) -> None:
        """Take an alert on."""
        try:
            self._queue.put_nowait(alert)
        except asyncio.QueueFull:
            log.error("alert_dropped", name=alert.name, voter=alert.voter, why=f"{WAITING} others wait for the webhook")

    async def _post_all(self, session: ClientSession) -> None:
        while True:
            alert = await self._queue.get()
            try:
                await deliver(
                    session,
                    self._url,
                    self._secrets,
                    f"msg_{uuid.uuid4().hex}",
                    body(alert),
                    deadline=time.time() + GIVE_UP_AFTER,
                    attempt_seconds=ATTEMPT,
                    pauses=self._pauses,
                )
            except CallError as error:
                log.error("alert_not_delivered", name=alert.name, voter=alert.voter, error=str(error))
            except Exception:  # without this task no alert would go out any more
                log.exception("alert_not_delivered", name=alert.name, voter=alert.voter)
