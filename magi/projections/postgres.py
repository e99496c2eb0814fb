"""Connections to Postgres: how they are opened, and which of its errors pass by themselves."""

import contextlib
import logging
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import unquote

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from magi.projections.errors import PostgresUnreachable

Connection = AsyncConnection[tuple[Any, ...]]

CONNECT_TIMEOUT = 5
TRANSIENT = (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout)
"""Postgres is down, restarting, out of connections or disk, or it cut us off: that passes. What we do wrong doesn't."""

_QUOTED = re.compile(r'"[^"]*"')

_LIVENESS: dict[str, Any] = {
    # A machine that vanished answers nothing: without these a statement would wait for two hours.
    "keepalives_idle": 5,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 15_000,
}


async def connect(url: str, schema: str | None = None, *, synchronous: str = "on") -> Connection:
    """A connection that commits each statement by itself and finds tables in `schema` first.

    `synchronous` is Postgres' ``synchronous_commit``. ``off`` can lose the last transactions in a crash, each as a
    whole, and is safe for rows that are stored together with their position. Raises PostgresUnreachable.
    """
    try:
        connection = await AsyncConnection.connect(
            url, autocommit=True, connect_timeout=CONNECT_TIMEOUT, application_name="magi", **_LIVENESS
        )
        path = f"{schema}, pg_catalog" if schema else "pg_catalog"
        await connection.execute(
            "SELECT set_config('search_path', %s, false), set_config('synchronous_commit', %s, false),"
            " set_config('timezone', 'UTC', false), set_config('client_min_messages', 'warning', false)",
            (path, synchronous),
        )
    except TRANSIENT as error:
        raise PostgresUnreachable(f"Postgres can't be reached: {problem_of(error, url)}") from None
    except psycopg.ProgrammingError as error:
        raise PostgresUnreachable(f"postgres.url can't be used: {problem_of(error, url)}") from None
    return connection


def make_pool(url: str, *, most: int = 4) -> AsyncConnectionPool[Connection]:
    """A pool for queries; open it before use (``async with``). Its connections commit each statement by itself."""
    # What goes wrong comes out of `connection()`; the pool would besides log every try of its own.
    logging.getLogger("psycopg.pool").setLevel(logging.CRITICAL)
    kwargs: dict[str, Any] = {
        "autocommit": True,
        "connect_timeout": CONNECT_TIMEOUT,
        "application_name": "magi",
        **_LIVENESS,
    }
    return AsyncConnectionPool(
        url, min_size=0, max_size=most, open=False, timeout=CONNECT_TIMEOUT, kwargs=kwargs, name="magi"
    )


@contextlib.contextmanager
def reachable() -> Iterator[None]:
    """Turns what Postgres' absence raises into PostgresUnreachable."""
    try:
        yield
    except TRANSIENT as error:
        raise PostgresUnreachable(f"Postgres doesn't answer: {first_line(error)}") from error


def problem_of(error: Exception, url: str) -> str:
    """Why there is no connection to `url`, in a line, and nothing of the password."""
    # libpq quotes what it does not understand of an URL.
    line = _QUOTED.sub("…", first_line(error)) if isinstance(error, psycopg.ProgrammingError) else first_line(error)
    # A password that isn't escaped ends up in a host's name.
    secret = url.partition("://")[2].rpartition("@")[0].partition(":")[2]
    for piece in re.split(r"[@:/?#]", secret):
        if len(piece) > 2:
            line = line.replace(piece, "…").replace(unquote(piece), "…")
    return line


def first_line(error: BaseException) -> str:
    """The message without its detail: that quotes rows, and rows hold what people wrote."""
    diagnosis = getattr(getattr(error, "diag", None), "message_primary", None)
    return (diagnosis or str(error).strip() or type(error).__name__).splitlines()[0][:300]
