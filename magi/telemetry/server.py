"""The operations port of a part: ``GET /metrics`` for Prometheus, ``GET /healthz`` for whoever restarts it."""

from collections.abc import Callable

import structlog
from aiohttp import web

from magi.telemetry.registry import Registry

log = structlog.get_logger(__name__)

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


class OperationsServer:
    """Shows no content and takes nothing: who can reach it learns how many requests there are, and who votes how."""

    def __init__(self, registry: Registry, problem: Callable[[], str] = str) -> None:
        """`problem()` says why the part can't work now, and nothing when it can."""
        self._registry = registry
        self._problem = problem
        self._runner: web.AppRunner | None = None

    async def start(self, host: str, port: int) -> int | None:
        """Listen, and return the port. None when it can't listen: no request is worth less for not being measured."""
        app = web.Application()
        app.router.add_get("/metrics", self._metrics)
        app.router.add_get("/healthz", self._health)
        self._runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await self._runner.setup()
        try:
            await web.TCPSite(self._runner, host, port).start()
        except OSError as error:
            log.error("operations_do_not_listen", host=host, port=port, error=error.strerror or str(error))
            await self.stop()
            return None
        found = int(self._runner.addresses[0][1])
        log.info("operations_listen", host=host, port=found)
        return found

    async def stop(self) -> None:
        if self._runner:
            await self._runner.cleanup()
            self._runner = None

    async def _metrics(self, request: web.Request) -> web.Response:
        await self._registry.refresh()
        return web.Response(body=self._registry.expose(), headers={"Content-Type": CONTENT_TYPE})

    async def _health(self, request: web.Request) -> web.Response:
        problem = self._problem()
        return web.Response(text=f"{problem or 'alive'}\n", status=503 if problem else 200)
