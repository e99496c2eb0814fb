"""Postgres by TLS is libpq's to do; here it is seen to be done as the URL says, by our own connections."""

import asyncio
import contextlib
import ssl
import traceback
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from magi.projections.errors import PostgresUnreachable
from magi.projections.postgres import connect
from tests.certificates import Authority, Pair

_SSL_REQUEST = (8).to_bytes(4, "big") + (80877103).to_bytes(4, "big")


@asynccontextmanager
async def before(postgres_url: str, pair: Pair) -> AsyncIterator[tuple[int, list[bool]]]:
    """A port where `postgres_url` is served by TLS, since the PostgreSQL that MAGI brings along knows none; and for
    each connection whether it asked for TLS."""
    where = urlsplit(postgres_url)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pair.cert, pair.key)
    asked: list[bool] = []
    serving: set[asyncio.Task[None]] = set()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task
        serving.add(task)
        with contextlib.suppress(OSError, asyncio.IncompleteReadError):
            first = await reader.readexactly(8)
            asked.append(first == _SSL_REQUEST)
            if not asked[-1]:
                writer.close()
                return
            writer.write(b"S")
            await writer.drain()
            await writer.start_tls(context)
            inner, outer = await asyncio.open_connection(where.hostname, where.port)
            await asyncio.gather(_copy(reader, outer), _copy(inner, writer))

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        yield server.sockets[0].getsockname()[1], asked
        await asyncio.wait(serving, timeout=5)


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    with contextlib.suppress(OSError):
        while data := await reader.read(65536):
            writer.write(data)
            await writer.drain()
        writer.close()


def with_tls(postgres_url: str, port: int, ca: Path) -> str:
    where = urlsplit(postgres_url)
    query = f"sslmode=verify-full&sslrootcert={ca}&gssencmode=disable"
    return where._replace(netloc=f"{where.username}:{where.password}@127.0.0.1:{port}", query=query).geturl()


async def test_a_connection_is_made_by_tls_when_the_url_says_so(database: str, tmp_path: Path) -> None:
    authority = Authority(tmp_path)
    async with before(database, authority.issue()) as (port, asked):
        connection = await connect(with_tls(database, port, authority.ca))
        found = await (await connection.execute("select 1")).fetchone()
        await connection.close()
    assert found == (1,)
    assert asked == [True]


async def test_a_server_of_another_ca_is_refused_without_a_word_of_the_password(database: str, tmp_path: Path) -> None:
    authority, other = Authority(tmp_path / "one"), Authority(tmp_path / "other")
    async with before(database, authority.issue()) as (port, _):
        with pytest.raises(PostgresUnreachable, match="certificate verify failed") as error:
            await connect(with_tls(database, port, other.ca))
    password = urlsplit(database).password
    assert password
    assert password not in "".join(traceback.format_exception(error.value))
