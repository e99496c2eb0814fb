"""`magi.telemetry.server`: the operations port."""

import asyncio

from aiohttp import ClientSession

from magi.telemetry.declarations import LOOP_LAG
from magi.telemetry.loop_lag import EVERY, LoopLag
from magi.telemetry.registry import Registry
from magi.telemetry.server import OperationsServer
from tests.telemetry.strict import read, total
from tests.waiting import until


async def get(port: int | None, path: str) -> tuple[int, str, str]:
    async with ClientSession() as session, session.get(f"http://127.0.0.1:{port}{path}") as answer:
        return answer.status, answer.headers["Content-Type"], await answer.text()


async def test_metrics_are_in_the_format_that_prometheus_asks_for() -> None:
    server = OperationsServer(Registry("gateway", []))
    port = await server.start("127.0.0.1", 0)
    try:
        status, kind, body = await get(port, "/metrics")
        assert (status, kind) == (200, "text/plain; version=0.0.4; charset=utf-8")
        assert read(body)
        assert (await get(port, "/"))[0] == 404
    finally:
        await server.stop()


async def test_its_health_is_that_of_the_part() -> None:
    problem = ""
    server = OperationsServer(Registry("gateway", []), lambda: problem)
    port = await server.start("127.0.0.1", 0)
    try:
        assert (await get(port, "/healthz"))[::2] == (200, "alive\n")
        problem = "no connection to NATS"
        assert (await get(port, "/healthz"))[::2] == (503, "no connection to NATS\n")
    finally:
        await server.stop()


async def test_a_port_that_is_taken_stops_nobody() -> None:
    first, second = OperationsServer(Registry("gateway", [])), OperationsServer(Registry("gateway", []))
    port = await first.start("127.0.0.1", 0)
    try:
        assert port
        assert await second.start("127.0.0.1", port) is None
        await second.stop()
    finally:
        await first.stop()


async def test_a_blocked_event_loop_is_seen() -> None:
    lag = LoopLag()
    lag.start()
    loop = asyncio.get_running_loop()
    busy_until = loop.time() + 2 * EVERY
    while loop.time() < busy_until:
        pass

    async def seen() -> bool:
        families = read(Registry("gateway", [lag]).expose().decode())
        late = families[LOOP_LAG.name].samples[f"{LOOP_LAG.name}_bucket", frozenset({("le", "0.1")})]
        return total(families, LOOP_LAG.name) > late

    await until(seen, "the stall is in a bucket above 0.1 s")
    lag.stop()
