"""Asks operations ports for their metrics, all at the same time."""

import asyncio
from collections.abc import Iterable

import structlog
from aiohttp import ClientError, ClientSession, ClientTimeout, DummyCookieJar

from magi.alerts.alert import Scrape, Target

log = structlog.get_logger(__name__)

TIMEOUT = 10.0
"""Seconds until a target counts as down: Prometheus' default."""
LARGEST = 32 * 1024 * 1024
"""Bytes of an answer. With a thousand voters an orchestrator tells 2 MiB."""


class Scraper:
    """Needs a running event loop, and has to be closed."""

    def __init__(self, timeout: float = TIMEOUT) -> None:
        self._timeout = timeout
        self._session: ClientSession | None = None

    async def scrape(self, targets: Iterable[Target]) -> list[Scrape]:
        """Never raises for a target that doesn't answer."""
        if self._session is None:
            # A connection a scrape: one that is kept would be found broken after each restart of a part.
            self._session = ClientSession(
                cookie_jar=DummyCookieJar(),
                trust_env=False,
                timeout=ClientTimeout(total=self._timeout),
                headers={"User-Agent": "MAGI", "Connection": "close"},
            )
        return list(await asyncio.gather(*(self._one(self._session, target) for target in targets)))

    async def _one(self, session: ClientSession, target: Target) -> Scrape:
        try:
            return Scrape(target.part, target.address, await self._text(session, target), target.job)
        except (TimeoutError, ClientError, OSError, ValueError) as error:
            log.debug("not_scraped", target=target.address, error=str(error) or type(error).__name__)
            return Scrape(target.part, target.address, None, target.job)

    async def _text(self, session: ClientSession, target: Target) -> str:
        async with session.get(f"http://{target.address}/metrics", allow_redirects=False) as response:
            body = bytearray()
            async for chunk in response.content.iter_any():
                body += chunk
                if len(body) > LARGEST:
                    raise ValueError(f"more than {LARGEST:,} bytes")
            if response.status != 200:
                raise ValueError(f"answered {response.status}")
            return body.decode()

    async def close(self) -> None:
        if self._session:
            await self._session.close()
