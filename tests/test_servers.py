"""The test servers themselves: they come up, come back on the same ports, and die with the test process."""

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import nats
import pytest

from tests.servers import NatsServer
from tests.waiting import eventually


async def test_a_server_accepts_clients_once_started(fresh_nats: NatsServer) -> None:
    client = await nats.connect(fresh_nats.url)
    assert (await client.jetstream().account_info()).streams == 0
    await client.close()


@pytest.mark.parametrize("end", [NatsServer.stop, NatsServer.kill])
async def test_it_comes_back_on_the_same_ports_with_its_streams(
    fresh_nats: NatsServer, end: Callable[[NatsServer], None]
) -> None:
    url, monitor = fresh_nats.url, fresh_nats.monitor_url
    client = await nats.connect(url)
    await client.jetstream().add_stream(name="KEPT", subjects=["kept"])
    await client.close()
    end(fresh_nats)
    assert not fresh_nats.running
    fresh_nats.start()
    assert (fresh_nats.url, fresh_nats.monitor_url) == (url, monitor)
    client = await nats.connect(url)
    assert (await client.jetstream().stream_info("KEPT")).config.name == "KEPT"
    await client.close()


def test_a_bad_configuration_fails_with_what_the_server_said(tmp_path: Path) -> None:
    server = NatsServer(tmp_path, jetstream="sync_interval: soon")
    with pytest.raises(RuntimeError, match=r"did not start(?s:.*)sync_interval"):
        server.start()
    assert not server.running


def test_it_dies_with_the_process_that_started_it(tmp_path: Path) -> None:
    program = (
        "import pathlib, sys, signal; from tests.servers import NatsServer; "
        "server = NatsServer(pathlib.Path(sys.argv[1])); server.start(); print(server.pid, flush=True); signal.pause()"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", program, str(tmp_path)], stdout=subprocess.PIPE, cwd=Path(__file__).parent.parent
    )
    assert parent.stdout is not None
    with parent:
        server = int(parent.stdout.readline())
        assert _alive(server)
        parent.send_signal(signal.SIGKILL)
    eventually(lambda: not _alive(server), "the server is gone")


def _alive(pid: int) -> bool:
    """Whether `pid` runs. A zombie (no init to reap it, as in a container) does not."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return not Path("/proc/self").exists()
