import asyncio
import os
import signal
import socket
import stat
import subprocess
from collections.abc import AsyncIterator

import psycopg
import pytest

from magi.embedded.datadir import DataDir
from magi.embedded.errors import PostgresVersionError, ServerStartError
from magi.embedded.postgres import EmbeddedPostgres
from magi.embedded.supervisor import ServerRestarted
from tests.embedded.processes import alive, listens_on
from tests.waiting import until


@pytest.fixture
async def server(prepared_data: DataDir) -> AsyncIterator[EmbeddedPostgres]:
    embedded = EmbeddedPostgres(prepared_data)
    await embedded.start()
    yield embedded
    await embedded.stop()


async def ask(url: str, query: str) -> list[object]:
    """The first row of the answer."""
    async with await psycopg.AsyncConnection.connect(url, autocommit=True) as connection:
        cursor = await connection.execute(query.encode())
        return list(await cursor.fetchone() or []) if cursor.description else []


async def test_the_url_leads_to_a_database_of_our_own(server: EmbeddedPostgres) -> None:
    query = "select current_user, current_database(), pg_encoding_to_char(encoding), datlocale, datlocprovider from pg_database where datname = current_database()"  # noqa: E501
    assert await ask(server.url, query) == ["magi", "magi", "UTF8", "C.UTF-8", "b"]


async def test_our_role_owns_its_database_and_is_no_superuser(server: EmbeddedPostgres) -> None:
    query = "select rolsuper, rolcreatedb, rolcreaterole, rolreplication from pg_roles where rolname = current_user"
    assert await ask(server.url, query) == [False, True, False, False]
    await ask(server.url, "create schema if not exists magi_v1")
    await ask(server.url, "create extension if not exists pg_trgm")  # a trusted one


@pytest.mark.parametrize("user", ["magi", "postgres", "nobody"])
async def test_nobody_gets_in_without_the_password(server: EmbeddedPostgres, user: str) -> None:
    with pytest.raises(psycopg.OperationalError):
        await ask(f"postgresql://{user}@127.0.0.1:{server.port}/magi", "select 1")
    with pytest.raises(psycopg.OperationalError):
        await ask(f"postgresql://{user}:guess@127.0.0.1:{server.port}/postgres", "select 1")


async def test_the_superuser_does_not_get_in_even_with_it(server: EmbeddedPostgres) -> None:
    with pytest.raises(psycopg.OperationalError, match=r"no pg_hba\.conf entry"):
        await ask(server.url.replace("//magi:", "//postgres:"), "select 1")


async def test_it_listens_on_loopback_only_and_has_no_socket_file(
    server: EmbeddedPostgres, prepared_data: DataDir
) -> None:
    assert listens_on(server.port) == {"0100007F"}
    lock = (prepared_data.postgres / "cluster" / "postmaster.pid").read_text().splitlines()
    assert lock[4] == ""


def test_the_password_is_for_this_user_only_and_in_no_command_line(
    server: EmbeddedPostgres, prepared_data: DataDir
) -> None:
    file = prepared_data.keys / "postgres"
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    command_line = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(server.pid)], capture_output=True, text=True)
    assert "postgres" in command_line.stdout
    assert file.read_text().strip() not in command_line.stdout


async def test_a_killed_server_comes_back_on_its_port_with_its_data(prepared_data: DataDir) -> None:
    restarts: asyncio.Queue[ServerRestarted] = asyncio.Queue()
    server = EmbeddedPostgres(prepared_data, on_restart=restarts.put_nowait)
    await server.start()
    url, pid = server.url, server.pid
    assert pid is not None
    await ask(url, "create table kept as select 17 as number")
    os.kill(pid, signal.SIGKILL)
    restarted = await asyncio.wait_for(restarts.get(), 30)
    assert restarted.exit_code == -signal.SIGKILL
    assert server.url == url
    assert server.pid != pid
    assert await ask(url, "select number from kept") == [17]
    await ask(url, "drop table kept")
    await server.stop()


async def test_a_killed_server_comes_back_though_its_sessions_still_work(prepared_data: DataDir) -> None:
    restarts: asyncio.Queue[ServerRestarted] = asyncio.Queue()
    server = EmbeddedPostgres(prepared_data, on_restart=restarts.put_nowait)
    await server.start()
    # Busy and not waiting: that session does not see that its postmaster is gone before it is done.
    busy = asyncio.create_task(ask(server.url, "select count(*) from generate_series(1, 3000000)"))
    working = "select count(*) from pg_stat_activity where query like '%3000000)'"

    async def works() -> bool:
        return await ask(server.url, working) == [1]

    await until(works, "the session works")
    assert server.pid is not None
    os.kill(server.pid, signal.SIGKILL)
    await asyncio.wait_for(restarts.get(), 30)
    assert await ask(server.url, working) == [0]
    await asyncio.wait({busy})  # it may have got its answer or not
    busy.exception()
    await server.stop()


async def test_the_next_start_takes_the_same_port_unless_it_is_taken(prepared_data: DataDir) -> None:
    ports = []
    for _ in range(2):
        server = EmbeddedPostgres(prepared_data)
        await server.start()
        ports.append(server.port)
        await server.stop()
    assert ports[0] == ports[1]
    with socket.create_server(("127.0.0.1", ports[0])):
        await server_on_another_port(prepared_data, ports[0])


async def server_on_another_port(data: DataDir, taken: int) -> None:
    server = EmbeddedPostgres(data)
    await server.start()
    assert server.port != taken
    assert await ask(server.url, "select 1") == [1]
    await server.stop()


async def test_another_major_version_is_refused_with_the_way_out(prepared_data: DataDir) -> None:
    file = prepared_data.postgres / "cluster" / "PG_VERSION"
    right = file.read_text()
    file.write_text("17\n")
    try:
        with pytest.raises(PostgresVersionError, match=r"PostgreSQL 17.*rebuilt from the log.*Remove") as refused:
            await EmbeddedPostgres(prepared_data).start()
        assert str(prepared_data.postgres) in str(refused.value)
    finally:
        file.write_text(right)


async def test_a_lock_file_with_a_strangers_process_id_is_no_obstacle(prepared_data: DataDir) -> None:
    lock = prepared_data.postgres / "cluster" / "postmaster.pid"
    lock.write_text(f"{os.getpid()}\n/somewhere\n1\n5432\n\n127.0.0.1\n  1 1\nready   \n")
    server = EmbeddedPostgres(prepared_data)
    await server.start()
    assert await ask(server.url, "select 1") == [1]
    await server.stop()


async def test_a_lost_password_is_replaced(prepared_data: DataDir) -> None:
    (prepared_data.keys / "postgres").unlink()
    server = EmbeddedPostgres(prepared_data)
    await server.start()
    assert await ask(server.url, "select 1") == [1]
    await server.stop()


async def test_a_start_that_fails_says_what_the_server_said(prepared_data: DataDir) -> None:
    file = prepared_data.postgres / "cluster" / "global" / "pg_control"
    hidden = file.with_name("hidden")
    file.rename(hidden)
    try:
        with pytest.raises(ServerStartError, match="pg_control"):
            await EmbeddedPostgres(prepared_data).start()
    finally:
        hidden.rename(file)


async def test_a_cancelled_first_start_leaves_nothing_running_and_the_next_one_works(data: DataDir) -> None:
    server = EmbeddedPostgres(data)
    start = asyncio.create_task(server.start())
    new = data.postgres / "cluster.new"

    async def half_made() -> bool:
        return (new / "global").exists()

    await until(half_made, "initdb is at work")
    start.cancel()
    with pytest.raises(asyncio.CancelledError):
        await start
    assert not (data.postgres / "cluster").exists()
    server = EmbeddedPostgres(data)
    await server.start()
    assert await ask(server.url, "select 1") == [1]
    pid = server.pid
    await server.stop()
    assert pid is not None
    assert not alive(pid)
