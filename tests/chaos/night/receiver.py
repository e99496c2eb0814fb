"""Where the night's alerts are posted: a small HTTP server that checks each signature and remembers what came when."""

import base64
import os
import time
from typing import Any

import msgspec
from aiohttp import web
from msgspec import Struct
from standardwebhooks import Webhook


class Posted(Struct, frozen=True):
    at: float
    """Unix time of its arrival."""
    type: str
    data: dict[str, Any]


class _Body(Struct, frozen=True):
    type: str
    data: dict[str, Any]


class Receiver:
    """An asynchronous context manager."""

    def __init__(self) -> None:
        self.secret = "whsec_" + base64.b64encode(os.urandom(24)).decode()
        self.posted: list[Posted] = []
        self.url = ""
        self._runner: web.AppRunner | None = None

    async def __aenter__(self) -> "Receiver":
        app = web.Application()
        app.router.add_post("/alerts", self._receive)
        self._runner = web.AppRunner(app, access_log=None)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}/alerts"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self._runner.cleanup()

    async def _receive(self, request: web.Request) -> web.Response:
        body = await request.read()
        Webhook(self.secret).verify(body, dict(request.headers))  # raises for what is not ours
        decoded = msgspec.json.decode(body, type=_Body)
        self.posted.append(Posted(time.time(), decoded.type, decoded.data))
        return web.Response(status=204)
