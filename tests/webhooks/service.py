"""An HTTP service on loopback that answers as a test says, and remembers what it was asked."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

from aiohttp import web
from aiohttp.abc import AbstractResolver, ResolveResult
from msgspec import Struct

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Seen(Struct, frozen=True):
    path: str
    headers: dict[str, str]
    """Names in lower case."""
    body: bytes


class Service:
    def __init__(self, url: str) -> None:
        self.url = url
        self.seen: list[Seen] = []
        self.open = 0
        self.most_open = 0


@asynccontextmanager
async def serving(handler: Handler, host: str = "127.0.0.1") -> AsyncIterator[Service]:
    """A service for the time of the context; `handler` answers every request."""
    service = Service("")

    async def handle(request: web.Request) -> web.StreamResponse:
        headers = {name.lower(): value for name, value in request.headers.items()}
        service.seen.append(Seen(request.path, headers, await request.read()))
        service.open += 1
        service.most_open = max(service.most_open, service.open)
        try:
            return await handler(request)
        finally:
            service.open -= 1

    app = web.Application(client_max_size=1 << 20)
    app.router.add_route("*", "/{path:.*}", handle)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, 0).start()
        service.url = f"http://{host}:{runner.addresses[0][1]}"
        yield service
    finally:
        await runner.cleanup()


def answers(*responses: Callable[[], web.Response]) -> Handler:
    """Answer the first request with the first, and so on; the last one goes on for ever."""
    left = list(responses)

    async def handle(request: web.Request) -> web.Response:
        return (left.pop(0) if len(left) > 1 else left[0])()

    return handle


def status(code: int, text: str = "", **headers: str) -> Callable[[], web.Response]:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return lambda: web.Response(status=code, text=text, headers=named)


async def drop(request: web.Request) -> web.Response:
    """Break the connection instead of answering."""
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


class Names(AbstractResolver):
    """A name service of the test's own: the next list of addresses at each look-up, the last one for ever."""

    def __init__(self, *addresses: list[str]) -> None:
        self._answers = list(addresses)

    async def resolve(self, host: str, port: int = 0, family: int = 0) -> list[ResolveResult]:
        found = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        return [
            ResolveResult(hostname=host, host=address, port=port, family=10 if ":" in address else 2, proto=0, flags=0)
            for address in found
        ]

    async def close(self) -> None:
        pass
