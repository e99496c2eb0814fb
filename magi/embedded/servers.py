"""Both embedded servers together: started at the same time, kept running, stopped within two seconds."""

import asyncio
from collections.abc import Callable, Iterable
from pathlib import Path
from types import TracebackType
from typing import NoReturn, Self

from magi.embedded.datadir import DataDir
from magi.embedded.nats import EmbeddedNats
from magi.embedded.postgres import EmbeddedPostgres
from magi.embedded.supervisor import ServerRestarted
from magi.embedded.users import NO_EDGE, NatsEdge, NatsUser


class EmbeddedServers:
    """The servers that are wanted, over one data directory: an asynchronous context manager.

        with DataDir.open(path) as data:
            async with EmbeddedServers(data) as servers, asyncio.TaskGroup() as group:
                group.create_task(servers.watch())
                nc = await nats.connect(servers.nats_url, nkeys_seed=str(servers.nats_seed_file))

    A server that ends by itself is started again on the same port; `on_restart` is told. Stop what uses the servers
    before leaving the block. For the parameters see EmbeddedNats; entering raises EmbeddedError.
    """

    def __init__(
        self,
        data_dir: DataDir,
        *,
        sync_interval: str = "always",
        components: Iterable[NatsUser] = (),
        edge: NatsEdge = NO_EDGE,
        users: Iterable[NatsUser] | None = None,
        want_nats: bool = True,
        want_postgres: bool = True,
        on_restart: Callable[[ServerRestarted], None] = lambda restarted: None,
    ) -> None:
        self._nats = (
            EmbeddedNats(
                data_dir,
                sync_interval=sync_interval,
                components=components,
                edge=edge,
                users=users,
                on_restart=on_restart,
            )
            if want_nats
            else None
        )
        self._postgres = EmbeddedPostgres(data_dir, on_restart=on_restart) if want_postgres else None
        self._servers = [server for server in (self._nats, self._postgres) if server is not None]

    @property
    def nats(self) -> EmbeddedNats:
        """Raises RuntimeError when it was not wanted."""
        if self._nats is None:
            raise RuntimeError("no embedded nats-server was asked for")
        return self._nats

    @property
    def postgres(self) -> EmbeddedPostgres:
        """Raises RuntimeError when it was not wanted."""
        if self._postgres is None:
            raise RuntimeError("no embedded PostgreSQL was asked for")
        return self._postgres

    @property
    def nats_url(self) -> str:
        """`nats://127.0.0.1:<port>`."""
        return self.nats.url

    @property
    def monitor_url(self) -> str:
        """nats-server's HTTP monitoring, `http://127.0.0.1:<port>`."""
        return self.nats.monitor_url

    @property
    def nats_seed_file(self) -> Path:
        """The file with the seed of the key that may do everything: `nats.connect(…, nkeys_seed=str(…))`."""
        return self.nats.seed_file

    @property
    def postgres_url(self) -> str:
        """`postgresql://…` with the password in it: for connecting, never for a log."""
        return self.postgres.url

    async def __aenter__(self) -> Self:
        try:
            # A group: when one can't start, the other's start is cancelled and cleans up; the first error counts.
            async with asyncio.TaskGroup() as group:
                for server in self._servers:
                    group.create_task(server.start())
        except BaseExceptionGroup as errors:
            await self._stop()
            raise errors.exceptions[0] from None
        except BaseException:
            await self._stop()
            raise
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._stop()

    async def watch(self) -> NoReturn:
        """Run beside the work: raises ServerFailed when a server could not be kept running, and never returns."""
        try:
            async with asyncio.TaskGroup() as group:
                for server in self._servers:
                    group.create_task(server.failed())
                await asyncio.Event().wait()
        except BaseExceptionGroup as errors:
            raise errors.exceptions[0] from None
        raise AssertionError("an event that nobody sets")

    async def _stop(self) -> None:
        await asyncio.gather(*(server.stop() for server in self._servers))
