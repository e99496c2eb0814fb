"""The listener for the callbacks of HTTP voters: ``POST /v1/ballots/<task_id>``, signed by the task's voter."""

import asyncio
from collections.abc import Iterable
from typing import Final

import structlog
from aiohttp import web
from msgspec import json

from magi.telemetry.declarations import CALLBACKS_REFUSED
from magi.telemetry.instruments import Reading
from magi.voters.callback_desk import CallbackDesk, CallbackRefused, Why
from magi.voters.callback_settings import CallbackSettings, CannotTakeCallbacks
from magi.webhooks.addresses import is_here

log = structlog.get_logger(__name__)

PATH: Final = "/v1/ballots/"
BODY_LIMIT: Final = 65_536
_BODY_SECONDS: Final = 10.0
_SHUTDOWN_SECONDS: Final = 1.0

_ANSWERS: Final[dict[Why, tuple[int, str]]] = {
    "missing": (401, "unauthorized"),
    "malformed": (401, "unauthorized"),
    "old": (401, "unauthorized"),
    "early": (401, "unauthorized"),
    "forged": (401, "unauthorized"),
    "replayed": (401, "unauthorized"),
    "another_voter": (403, "forbidden"),
    "unknown_task": (404, "unknown_task"),
    "already_voted": (409, "already_voted"),
    "no_vote": (400, "invalid_message"),
}
"""HTTP's status and the protocol's code of each refusal."""


class CallbackServer:
    """Listens, and puts what comes before its `desk`."""

    def __init__(self, settings: CallbackSettings, desk: CallbackDesk | None = None) -> None:
        self.desk = desk or CallbackDesk()
        self._settings = settings
        self._runner: web.AppRunner | None = None
        self._base = ""

    async def start(self) -> None:
        """Raises CannotTakeCallbacks."""
        settings = self._settings
        if not settings.base_url and settings.host in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            raise CannotTakeCallbacks(
                f"callbacks on {settings.host or 'every address'}: base_url is needed to tell voters"
            )
        app = web.Application(client_max_size=BODY_LIMIT)
        app.router.add_post(PATH + "{task_id}", self._handle)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=_SHUTDOWN_SECONDS)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, settings.host, settings.port).start()
        except OSError as error:
            await self.stop()
            raise CannotTakeCallbacks(
                f"callbacks on {settings.host} port {settings.port}: {error.strerror or error}"
            ) from error
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        self._base = settings.base_url.rstrip("/") or f"http://{host}:{self.port}"
        log.info("callbacks_listen", host=settings.host, port=self.port, base_url=self._base)

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    def metrics(self) -> Iterable[Reading]:
        """See `telemetry.instruments.Source`."""
        yield CALLBACKS_REFUSED, {str(why): self.desk.refused[why] for why in _ANSWERS}

    @property
    def port(self) -> int:
        """The port that it listens on."""
        assert self._runner is not None
        return int(self._runner.addresses[0][1])

    def url_for(self, task_id: str, voter_url: str) -> str | None:
        """Where a voter at `voter_url` sends its vote; None when it can't: it is elsewhere, we are on loopback."""
        if is_here(self._base) and not is_here(voter_url):
            return None
        return self._base + PATH + task_id

    async def _handle(self, request: web.Request) -> web.Response:
        task_id = request.match_info["task_id"]
        try:
            async with asyncio.timeout(_BODY_SECONDS):
                body = await request.read()
        except TimeoutError:
            return _refusal(408, "invalid_message", "the body took too long")
        except web.HTTPRequestEntityTooLarge:
            return _refusal(413, "too_large", f"more than {BODY_LIMIT:,} bytes")
        try:
            self.desk.take(task_id, request.headers, body)
        except CallbackRefused as refused:
            status, code = _ANSWERS[refused.why]
            log.warning(
                "callback_refused", task=task_id[:200], voter=refused.voter, why=refused.why, sender=request.remote
            )
            return _refusal(status, code, str(refused))
        # Taken, not stored: when it gets lost on the way the task is posted again.
        return web.json_response({"type": "accepted", "task_id": task_id, "kind": "result"}, status=202)


def _refusal(status: int, code: str, message: str) -> web.Response:
    body = json.encode({"type": "error", "code": code, "message": message, "retryable": False})
    return web.Response(status=status, body=body, content_type="application/json")
