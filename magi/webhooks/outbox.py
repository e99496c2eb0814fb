"""Signed messages that wait for one URL, posted one after the other; who leaves one there never waits for it."""

import asyncio
import time
import uuid
from collections.abc import Callable, Sequence

import structlog
from aiohttp import ClientSession
from msgspec import Struct

from magi.webhooks.addresses import WITH_PRIVATE, checked_url
from magi.webhooks.client import CallError, open_session
from magi.webhooks.delivery import Pauses, deliver
from magi.webhooks.secret_file import read_secret
from magi.webhooks.signing import Secret

__all__ = ["Outbox", "read_secret"]

log = structlog.get_logger(__name__)

WAITING = 100
"""Messages that wait for their turn at most: a fleet of voters that all fail at once makes so many, and no more."""
GIVE_UP_AFTER = 300.0
"""Seconds until a message that nobody takes is dropped: so long a restart of the receiver may take."""
ATTEMPT = 10.0
"""Seconds that one try may take."""


class _Message(Struct, frozen=True):
    body: bytes
    about: dict[str, str]
    done: Callable[[bool], None]


def _nothing(delivered: bool) -> None:
    pass


class Outbox:
    """Posts to one URL. The URL is the operator's: it may be on a private network."""

    def __init__(self, url: str, secrets: Sequence[Secret], pauses: Pauses = Pauses()) -> None:  # noqa: B008 - frozen
        """Raises BadUrl, AddressRefused for a URL that can't be called."""
        checked_url(url, WITH_PRIVATE)
        self._url = url
        self._secrets = tuple(secrets)
        self._pauses = pauses
        self._queue: asyncio.Queue[_Message] = asyncio.Queue(WAITING)
        self._task: asyncio.Task[None] | None = None
        self._session: ClientSession | None = None

    async def start(self) -> None:
        self._session = open_session(WITH_PRIVATE)
        self._task = asyncio.create_task(self._post_all(self._session))

    async def stop(self) -> None:
        """What was not delivered is dropped: it is in the log as well."""
        if self._task:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._session:
            await self._session.close()

    def put(self, body: bytes, about: dict[str, str], done: Callable[[bool], None] = _nothing) -> None:
        """Take a message on. `about` is what log lines say of it; `done` is told whether it was delivered."""
        try:
            self._queue.put_nowait(_Message(body, about, done))
        except asyncio.QueueFull:
            log.error("alert_dropped", **about, why=f"{WAITING} others wait for the webhook")
            done(False)

    async def _post_all(self, session: ClientSession) -> None:
        while True:
            message = await self._queue.get()
            delivered = False
            try:
                await deliver(
                    session,
                    self._url,
                    self._secrets,
                    f"msg_{uuid.uuid4().hex}",
                    message.body,
                    deadline=time.time() + GIVE_UP_AFTER,
                    attempt_seconds=ATTEMPT,
                    pauses=self._pauses,
                )
                delivered = True
            except CallError as error:
                log.error("alert_not_delivered", **message.about, error=str(error))
            except Exception:  # without this task no alert would go out any more
                log.exception("alert_not_delivered", **message.about)
            message.done(delivered)
