import asyncio
import json
import os
import signal
import subprocess
from pathlib import Path

import nats
import pytest

from magi.embedded import DataDir, EmbeddedServers, ServerFailed, ServerRestarted, ServerStartError, find_running
from tests.embedded.processes import alive, program
from tests.waiting import eventually

RUNS_BOTH = """
import asyncio, json, sys
import structlog
from magi.embedded import DataDir, EmbeddedServers

structlog.configure(logger_factory=structlog.PrintLoggerFactory(sys.stderr))

async def main():
    with DataDir.open(sys.argv[1]) as data:
        async with EmbeddedServers(data) as servers:
            pids = [servers.nats.pid, servers.postgres.pid]
            print(json.dumps({"pids": pids, "urls": [servers.nats_url, servers.postgres_url]}), flush=True)
            await asyncio.Event().wait()

asyncio.run(main())
"""

GONE_WITHIN = 30.0


async def test_both_run_until_the_block_ends(prepared_data: DataDir) -> None:
    async with EmbeddedServers(prepared_data) as servers:
        client = await nats.connect(servers.nats_url, nkeys_seed=str(servers.nats_seed_file))
        await client.close()
        assert servers.monitor_url.startswith("http://127.0.0.1:")
        assert servers.postgres_url.startswith("postgresql://magi:")
        pids = [servers.nats.pid, servers.postgres.pid]
        assert all(pid and alive(pid) for pid in pids)
    assert not any(pid and alive(pid) for pid in pids)


async def test_only_what_is_wanted_runs(prepared_data: DataDir) -> None:
    async with EmbeddedServers(prepared_data, want_postgres=False) as servers:
        assert servers.nats_url
        with pytest.raises(RuntimeError, match="no embedded PostgreSQL"):
            _ = servers.postgres_url
    async with EmbeddedServers(prepared_data, want_nats=False, want_postgres=False) as servers:
        with pytest.raises(RuntimeError, match="no embedded nats-server"):
            _ = servers.nats_url


async def test_when_one_can_not_start_neither_is_left(data: DataDir) -> None:
    (data.nats / "jetstream").write_text("in the way")
    with pytest.raises(ServerStartError, match="nats-server"):
        async with EmbeddedServers(data):
            pass
    assert not (data.postgres / "cluster").exists()
    assert not processes_over(data.path)


def processes_over(path: Path) -> list[str]:
    """The command lines of all processes that name this directory."""
    lines = subprocess.run(["ps", "-eww", "-o", "args="], capture_output=True, text=True, check=True).stdout
    return [line for line in lines.splitlines() if str(path) in line]


def test_when_magi_is_killed_its_servers_end_and_the_next_start_finds_all_in_order(prepared: Path) -> None:
    urls = []
    for _ in range(2):
        with program(RUNS_BOTH, str(prepared)) as magi:
            assert magi.stdout is not None
            told = json.loads(magi.stdout.readline())
            urls.append(told["urls"])
            assert all(alive(pid) for pid in told["pids"])
            magi.send_signal(signal.SIGKILL)
            # The second round starts while the servers of the first may still be ending.
    assert urls[0] == urls[1]
    eventually(lambda: not processes_over(prepared), "the servers are gone", GONE_WITHIN)


def test_a_server_that_outlived_its_magi_is_stopped_by_the_next_start(prepared: Path) -> None:
    """As on a Mac, where nothing tells a server that its parent was killed: here SIGSTOP keeps it from listening."""
    with program(RUNS_BOTH, str(prepared)) as magi:
        assert magi.stdout is not None
        told = json.loads(magi.stdout.readline())
        for pid in told["pids"]:
            os.kill(pid, signal.SIGSTOP)
        magi.send_signal(signal.SIGKILL)
        magi.wait()
        try:
            assert all(map(alive, told["pids"]))
            with program(RUNS_BOTH, str(prepared)) as next_magi:
                assert next_magi.stdout is not None
                assert json.loads(next_magi.stdout.readline())["urls"] == told["urls"]
                assert not any(map(alive, told["pids"]))
        finally:
            for pid in filter(alive, told["pids"]):
                os.kill(pid, signal.SIGKILL)


def test_ctrl_c_at_the_terminal_is_not_for_the_servers(prepared: Path) -> None:
    with program(RUNS_BOTH, str(prepared)) as magi:
        assert magi.stdout is not None
        told = json.loads(magi.stdout.readline())
        assert all(os.getpgid(pid) != os.getpgid(magi.pid) for pid in told["pids"])
        magi.send_signal(signal.SIGINT)  # as asyncio.run handles it: the block is left in order
        magi.wait(30)
        assert not any(map(alive, told["pids"]))


async def test_another_process_finds_them_by_the_data_directory(prepared: Path) -> None:
    assert find_running(prepared) is None
    with DataDir.open(prepared) as data:
        nothing_yet = find_running(prepared)
        assert nothing_yet is not None
        assert (nothing_yet.nats_url, nothing_yet.monitor_url, nothing_yet.postgres_url) == (None, None, None)
        async with EmbeddedServers(data) as servers:
            found = find_running(prepared)
            assert found is not None
            assert found.pid == os.getpid()
            assert found.nats_url == servers.nats_url
            assert found.monitor_url == servers.monitor_url
            assert found.postgres_url == servers.postgres_url
            assert found.nats_seed_file == servers.nats_seed_file


async def test_watching_ends_with_the_reason_when_a_server_can_not_be_kept_running(
    data: DataDir, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("magi.embedded.supervisor.MOST_FAILURES", 2)
    restarts: list[ServerRestarted] = []
    async with EmbeddedServers(data, want_postgres=False, on_restart=restarts.append) as servers:
        watching = asyncio.create_task(servers.watch())
        pid = servers.nats.pid
        assert pid is not None
        (data.nats / "jetstream").rename(data.nats / "elsewhere")
        (data.nats / "jetstream").write_text("in the way")
        os.kill(pid, signal.SIGKILL)
        with pytest.raises(ServerFailed, match="storage directory"):
            await asyncio.wait_for(watching, 30)
    assert restarts == []
