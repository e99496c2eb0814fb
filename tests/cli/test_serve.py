"""`magi serve` as a process: how it starts, what it refuses, how it stops, and what it survives."""

import contextlib
import json
import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from tests.again import Shared
from tests.cli.commands import magi, program
from tests.cli.serving import Serve, gone
from tests.ports import lasting_port
from tests.waiting import eventually

STOP_WITHIN = 5.0
"""Seconds, on a machine on which the shortest command takes `SHORTEST`."""
SHORTEST = 0.2
ASK = ("submit", "--query", "q", "--answer", "Some words.", "--voters", "melchior", "--json")


@pytest.fixture(scope="module")
def owned(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shared[Serve]]:
    with Shared(lambda: Serve(tmp_path_factory.mktemp("own") / "data")) as shared:
        yield shared


@pytest.fixture
def own(owned: Shared[Serve], request: pytest.FixtureRequest) -> Serve:
    """A MAGI that these tests may kill parts of, and then find well again; or kill."""
    running = owned.of(request)
    if running.process.poll() is not None:
        running.start()
    return running


def judged(data: Path) -> None:
    """A request is judged now, whatever has just been killed."""
    result = magi(*ASK, data=data)
    assert result.code in (0, 1), result.stderr
    assert json.loads(result.lines[-1])["decided_by"] == "votes"


def test_it_prints_one_line_when_it_is_ready(serve: Serve) -> None:
    assert serve.stdout == f"MAGI is ready at {serve.url}\n"
    assert serve.stderr == ""
    with connect(serve.url, additional_headers={"Authorization": f"Bearer {serve.token}"}) as ws:
        ws.send('{"type":"ping"}')
        assert ws.recv(timeout=30) == '{"type":"pong"}'


def test_everything_listens_on_loopback_only(serve: Serve) -> None:
    listening = [c for p in serve.family() for c in p.net_connections("inet") if c.status == "LISTEN"]
    assert len(listening) >= 4  # NATS, its monitoring, Postgres, the gateway
    assert {connection.laddr.ip for connection in listening} <= {"127.0.0.1", "::1"}


@pytest.mark.parametrize(
    ("variables", "names"),
    [
        ({"MAGI_NATS_REPLICAS": "many"}, ("MAGI_NATS_REPLICAS", "nats.replicas")),
        ({"MAGI_GATEWAY_PORT": "70000"}, ("MAGI_GATEWAY_PORT", "gateway.port")),
        ({"MAGI_GATEWAY_PROT": "1"}, ("MAGI_GATEWAY_PROT", "MAGI_GATEWAY_PORT")),
        ({"MAGI_VOTERS_BUILTIN": "melchior,nobody"}, ("voters.builtin", "'nobody'", "balthasar")),
    ],
)
def test_a_setting_that_can_not_be_used_stops_the_start(
    nowhere: Path, variables: dict[str, str], names: tuple[str, ...]
) -> None:
    refused = magi("serve", data=nowhere, **variables)
    assert (refused.code, refused.stdout) == (2, "")
    for name in names:
        assert name in refused.stderr
    assert not nowhere.exists()


def test_what_serve_was_told_holds_for_the_other_commands(serve: Serve) -> None:
    shown = {row["name"]: row for row in json.loads(magi("config", "show", "--json", data=serve.data).stdout)}
    port = serve.url.rpartition(":")[2]
    assert (shown["gateway.port"]["value"], shown["gateway.port"]["source"]) == (port, "magi serve")
    assert shown["nats.url"]["source"] == "magi serve"
    assert shown["orchestrator.panel_size"]["source"] == "default"


def test_a_line_of_the_file_that_can_not_be_used_stops_the_start(nowhere: Path) -> None:
    nowhere.mkdir()
    (nowhere / "magi.toml").write_text("[gateway.limits]\nopen_requests = 0\n")
    refused = magi("serve", data=nowhere)
    assert refused.code == 2
    assert f"{nowhere / 'magi.toml'}: gateway.limits.open_requests" in refused.stderr


def test_a_second_one_over_the_same_data_is_refused(serve: Serve) -> None:
    second = program("serve", "--port", "0", data=serve.data)
    output, errors = second.communicate(timeout=60)
    assert (second.returncode, output) == (2, b"")
    assert f"process id {serve.process.pid}".encode() in errors
    assert errors.count(b"\n") == 1
    judged(serve.data)


def test_a_port_that_is_taken_is_told_and_everything_is_stopped_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        refused = Serve(tmp_path / "data", MAGI_VOTERS_BUILTIN="")
        process = refused.begin("--port", str(port))
        eventually((tmp_path / "data" / "run" / "magi.json").exists, "the servers are started", 60)
        family = refused.family()
        assert process.wait(60) == 2
    assert f"can't listen on 127.0.0.1:{port}" in refused.stderr
    eventually(lambda: gone(family), "its processes are gone")


@pytest.mark.parametrize("part", ["gateway", "orchestrator", "voters", "nats-server", "postgres"])
def test_a_part_that_is_killed_is_started_again(own: Serve, part: str) -> None:
    before, url = own.pid_of(part), own.url
    os.kill(before, signal.SIGKILL)
    judged(own.data)
    eventually(lambda: own.pid_of(part) not in (before, 0), f"another {part}", 60)
    eventually(lambda: magi("doctor", data=own.data).code == 0, "all is well", 60)
    assert own.url == url
    assert own.process.poll() is None


def stop_within(data: Path) -> float:
    """Seconds: longer by as much as a command takes longer now, on a machine that is busy with other tests."""
    began = time.monotonic()
    with program("--version", data=data) as command:
        command.communicate(timeout=60)
    return STOP_WITHIN * max(1.0, (time.monotonic() - began) / SHORTEST)


@pytest.mark.parametrize(("sign", "expected"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_stops_while_it_is_starting_and_blames_nobody(tmp_path: Path, sign: signal.Signals, expected: int) -> None:
    starting = Serve(tmp_path / "data", MAGI_LOG_LEVEL="error")
    process = starting.begin()
    eventually((starting.data / "logs" / "orchestrator.log").exists, "the parts are being started", 60)
    family = starting.family()
    code, took = starting.stop(sign)
    assert (code, took < stop_within(tmp_path), starting.stdout) == (expected, True, ""), took
    assert starting.stderr == "magi: stopped while it was starting; nothing of it runs any more\n"
    assert process.poll() == expected
    assert gone(family)


def test_killed_as_a_whole_it_goes_on_at_the_next_start_and_stops_in_good_order(tmp_path: Path) -> None:
    port = str(lasting_port())
    with contextlib.ExitStack() as stack:
        magi_serve = Serve(tmp_path / "data")
        magi_serve.start("--port", port)
        stack.callback(magi_serve.end)
        data = magi_serve.data
        first = magi(*ASK, "--request-id", "before", data=data)
        assert magi("voters", "add", "absent", "--kind", "builtin", data=data).code == 0
        submit = ("submit", "--query", "q", "--answer", "a", "--voters", "absent", "--timeout-ms", "8000")
        open_request = stack.enter_context(program(*submit, "--request-id", "open", data=data))
        assert open_request.stdout
        assert open_request.stdout.readline().startswith(b"received")
        family = magi_serve.family()

        os.kill(magi_serve.pid_of("gateway"), signal.SIGSTOP)  # hangs on to its port, and hears no SIGTERM
        magi_serve.kill()
        magi_serve.start("--port", port)

        assert gone(family)
        assert open_request.stdout.read().endswith(b"decided by deadline\n")
        assert magi(*ASK, "--request-id", "before", data=data) == first
        judged(data)
        family = magi_serve.family()
        with connect(magi_serve.url, additional_headers={"Authorization": f"Bearer {magi_serve.token}"}) as ws:
            code, took = magi_serve.stop(signal.SIGINT)
            assert (code, took < stop_within(data)) == (0, True), took
            assert gone(family)
            with pytest.raises(ConnectionClosed) as closed:
                ws.recv(timeout=30)
        assert closed.value.rcvd
        assert closed.value.rcvd.code == 1012
        assert not (data / "run" / "magi.json").exists()


def test_killed_for_good_it_leaves_no_process(own: Serve) -> None:
    family = own.family()
    assert len(family) > 4
    own.kill()
    eventually(lambda: gone(family), "its processes are gone")
