"""What keeps the Postgres views within `magi serve`: the embedded Postgres, if no other is given, and the projector.

No verdict needs them: when they can't be started, or are given up, requests are judged all the same, and the views are
made up for once they are back.
"""

from collections.abc import Callable

import structlog

from magi.cli.children import PartProcess
from magi.cli.retried import Retried
from magi.embedded import DataDir
from magi.embedded.postgres import EmbeddedPostgres

log = structlog.get_logger(__name__)

PATIENCE = 20.0
"""Seconds that the start of everything waits for each of the two. Both take one, and ten on a machine that is busy."""


class Views:
    """Postgres first, then the projector: it asks where Postgres is when it starts."""

    def __init__(self, directory: DataDir, url: str, on_url: Callable[[str], None]) -> None:
        """`url` is that of a Postgres of one's own; empty: the embedded one. `on_url` is given its URL once it runs."""
        self._on_url = on_url
        self._postgres = None if url else EmbeddedPostgres(directory)
        self._server = Retried("PostgreSQL", self._postgres, self._postgres_up) if self._postgres else None
        self._is_up = bool(url)
        self._part: PartProcess | None = None
        self._projector: Retried | None = None

    async def start_postgres(self) -> None:
        if self._server:
            await self._server.start(PATIENCE)

    async def start_projector(self, part: PartProcess) -> None:
        """Start it, now or when Postgres is there."""
        self._part = part
        self._projector = Retried(part.name, part)
        if self._is_up:
            await self._projector.start(PATIENCE)

    async def stop_projector(self) -> None:
        if self._server:
            await self._server.leave()  # or it would start the projector again
        if self._projector and self._part:
            await self._projector.leave()
            await self._part.stop()

    async def stop_postgres(self) -> None:
        if self._server and self._postgres:
            await self._server.leave()
            await self._postgres.stop()

    async def _postgres_up(self) -> None:
        assert self._postgres is not None
        try:
            self._on_url(self._postgres.url)
        except OSError as error:  # a full disk: whoever looks for Postgres doesn't find it, and that is all
            log.error("postgres_not_told", error=str(error))
        self._is_up = True
        if self._projector:
            await self._projector.start(PATIENCE)
