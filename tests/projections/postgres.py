"""A real PostgreSQL for tests: one cluster a session, kept running in a thread of its own, killed at will."""

import asyncio
import os
import signal
import threading
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg

from magi.embedded import DataDir, EmbeddedServers


class PostgresServer:
    """The embedded server; it is started again on the same port when it ends."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)
        self._stop = asyncio.Event()
        self._ready = threading.Event()
        self.url = ""
        self._servers: EmbeddedServers | None = None
        self.restarts = 0

    @contextmanager
    def running(self) -> Iterator["PostgresServer"]:
        self._thread.start()
        done = asyncio.run_coroutine_threadsafe(self._run(), self._loop)
        assert self._ready.wait(60) or done.result(0)
        try:
            yield self
        finally:
            self._loop.call_soon_threadsafe(self._stop.set)
            done.result(20)
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(5)

    async def _run(self) -> None:
        def restarted(_: object) -> None:
            self.restarts += 1

        with DataDir.open(self._directory) as data:
            async with EmbeddedServers(data, want_nats=False, on_restart=restarted) as servers:
                self._servers, self.url = servers, servers.postgres_url
                self._ready.set()
                await self._stop.wait()

    def kill(self) -> None:
        """SIGKILL the postmaster: what it had not written is lost. Its supervisor starts it again."""
        assert self._servers is not None
        pid = self._servers.postgres.pid
        assert pid is not None
        os.kill(pid, signal.SIGKILL)

    def emptied_database(self) -> str:
        """The URL of a database of which nothing is left of the last test's. Making one takes 0.5 s on a busy disk."""
        with psycopg.connect(self.url, autocommit=True) as connection:
            rows = connection.execute("SELECT nspname FROM pg_namespace WHERE nspname LIKE 'magi%'").fetchall()
            for (schema,) in rows:
                connection.execute(f"DROP SCHEMA {schema} CASCADE")
        return self.url

    def new_database(self) -> str:
        """The URL of an empty database."""
        name = f"t_{uuid.uuid4().hex[:12]}"
        with psycopg.connect(self.url, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {name}")
        return self.url.rpartition("/")[0] + "/" + name
