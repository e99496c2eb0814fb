import os
import pwd
import shutil
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from magi.embedded.datadir import DataDir
from magi.embedded.postgres import EmbeddedPostgres
from magi.embedded.process import run
from tests.embedded.processes import python_as

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="root becomes another user")

STARTS_BOTH = """
import asyncio, os, sys, time
import nats, psycopg
from magi.embedded import DataDir, EmbeddedError, EmbeddedServers

async def main():
    with DataDir.open(sys.argv[1]) as data:
        async with EmbeddedServers(data, want_nats=len(sys.argv) < 3) as servers:
            async with await psycopg.AsyncConnection.connect(servers.postgres_url) as connection:
                print(await (await connection.execute("select 17")).fetchone())
            if len(sys.argv) < 3:
                client = await nats.connect(servers.nats_url, nkeys_seed=str(servers.nats_seed_file))
                print((await client.jetstream().account_info()).streams)
                await client.close()

try:
    asyncio.run(main())
except EmbeddedError as error:
    print(type(error).__name__, error)
"""


@pytest.fixture
def home() -> Iterator[Path]:
    """A directory that every user can reach; not below pytest's own, which is root's alone."""
    path = Path(tempfile.mkdtemp())
    path.chmod(0o755)
    yield path
    shutil.rmtree(path)


@as_root
def test_only_the_cluster_belongs_to_the_user_that_runs_it(prepared: Path) -> None:
    owner = (prepared / "postgres" / "cluster").stat()
    assert owner.st_uid != 0
    assert stat.S_IMODE(owner.st_mode) == 0o700
    for name in ("keys", "nats", "run", "logs", "postgres/pg_hba.conf", "keys/postgres"):
        assert (prepared / name).stat().st_uid == 0
        assert not (prepared / name).stat().st_mode & 0o027  # nothing for others, for the group to read at most
    for directory in (prepared, prepared / "postgres"):
        assert stat.S_IMODE(directory.stat().st_mode) == 0o710  # its group may pass through, and that is all


@as_root
def test_directories_that_are_not_ours_keep_their_permissions(prepared: Path) -> None:
    """pytest makes its own for root alone, and the cluster in one of them runs as another user all the same."""
    parents = [parent for parent in prepared.parents if parent.name.startswith("pytest-of-")]
    assert parents
    assert [stat.S_IMODE(parent.stat().st_mode) for parent in parents] == [0o700]


@as_root
async def test_a_cluster_that_was_restored_as_roots_is_given_to_its_user(prepared_data: DataDir) -> None:
    cluster = prepared_data.postgres / "cluster"
    for path in (cluster, *cluster.rglob("*")):
        os.chown(path, 0, 0)
    server = EmbeddedPostgres(prepared_data)
    await server.start()
    await server.stop()
    assert cluster.stat().st_uid != 0


@as_root
async def test_an_ordinary_user_runs_both_servers_as_itself(home: Path) -> None:
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    code, said = await run(python_as(nobody.pw_uid, STARTS_BOTH, home, str(home / "data")))
    assert (code, said) == (0, "(17,)\n0\n")
    owners = {path.stat().st_uid for path in (home / "data").rglob("*")}
    assert owners == {nobody.pw_uid}


@as_root
async def test_a_user_that_the_system_does_not_know_is_told_what_to_do(home: Path) -> None:
    stranger = 54321
    os.chown(home, stranger, stranger)
    code, said = await run(python_as(stranger, STARTS_BOTH, home, str(home / "data"), "PostgreSQL only"))
    assert code == 0
    assert "ServerStartError" in said
    assert f"user id {stranger} has no name on this system" in said
    assert "--postgres" in said
