"""The common mistakes, each made on a real server: `magi doctor` finds it and says what to do about it."""

import asyncio
import json
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from unittest.mock import patch

import nats
import pytest

from magi.cli import checks_bus
from tests.cli.commands import Result, magi
from tests.servers import NatsServer

Row = dict[str, str]


def found(result: Result, check: str) -> list[Row]:
    return [row for row in json.loads(result.stdout) if row["check"] == check]


def doctor(server: NatsServer, data: Path, **variables: str) -> Result:
    return magi("doctor", "--json", data=data, **at(server), **variables)


def at(server: NatsServer, sync: str = "any") -> dict[str, str]:
    return {
        "MAGI_NATS_URL": server.url,
        "MAGI_NATS_MONITOR_URL": server.monitor_url,
        "MAGI_NATS_SYNC_INTERVAL": sync,
    }


@pytest.fixture
def data(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    folder.mkdir()
    return folder


def update(server: NatsServer, stream: str, **fields: Any) -> None:
    async def change() -> None:
        client = await nats.connect(server.url)
        info = json.loads((await client.request(f"$JS.API.STREAM.INFO.{stream}", b"")).data)
        body = json.dumps({**info["config"], **fields}).encode()
        answer = json.loads((await client.request(f"$JS.API.STREAM.UPDATE.{stream}", body)).data)
        assert "error" not in answer, answer
        await client.close()

    asyncio.run(change())


def test_streams_weaker_than_declared(fresh_nats: NatsServer, data: Path) -> None:
    assert magi("streams", "apply", data=data, **at(fresh_nats)).code == 0
    update(fresh_nats, "MAGI_TASKS", duplicate_window=1_000_000_000)
    update(fresh_nats, "MAGI_LOG", max_age=3_600_000_000_000, max_bytes=1_000_000)
    result = doctor(fresh_nats, data)
    said = {row["found"].partition(" is ")[0]: row for row in found(result, "streams")}
    assert {name for name, row in said.items() if row["status"] == "error"} == {
        "MAGI_TASKS: duplicate_window",
        "MAGI_LOG: max_age",
        "MAGI_LOG: max_bytes",
    }
    assert all("magi streams apply" in row["advice"] for row in said.values())
    assert result.code == 1
    assert magi("streams", "apply", data=data, **at(fresh_nats)).code == 0
    assert [row["status"] for row in found(doctor(fresh_nats, data), "streams")] == ["ok"]


def test_another_encryption_key_is_found_and_nothing_is_made_anew(tmp_path: Path, data: Path) -> None:
    right, wrong = (f'key: "{key}", cipher: aes' for key in ("the-right-one-0123456789", "another-one-0123456789"))
    with NatsServer(tmp_path / "nats", jetstream=right) as server:
        assert magi("streams", "apply", data=data, **at(server)).code == 0
    for jetstream in (wrong, ""):
        with NatsServer(tmp_path / "nats", jetstream=jetstream) as server:
            result = doctor(server, data)
            (row,) = [row for row in found(result, "streams") if row["status"] == "error"]
            assert "MAGI_LOG is missing, and its files are in" in row["found"]
            assert "encrypted" in row["advice"]
            assert "`key`" in row["advice"]
            refused = magi("streams", "apply", data=data, **at(server))
            assert refused.code == 2
            assert "Nothing was created" in refused.stderr
            assert magi("serve", "--port", "0", data=data, **at(server), MAGI_POSTGRES_URL="host=127.0.0.1").code == 2
    with NatsServer(tmp_path / "nats", jetstream=right) as server:
        # nats-server deletes what is left of a stream that is created while it can't read it: it is all there still.
        left = json.loads(magi("streams", "diff", "--json", data=data, **at(server)).stdout)
        assert {row["stream"] for row in left if row["field"] == "stream"} == {"KV_magi_presence"}


def test_another_store_dir_is_found_by_what_was_seen_before(tmp_path: Path, data: Path) -> None:
    with NatsServer(tmp_path / "nats") as server:
        assert magi("streams", "apply", data=data, **at(server)).code == 0
    empty = NatsServer(tmp_path / "elsewhere")
    empty.port, empty.monitor_port = server.port, server.monitor_port
    with empty:
        (row,) = [row for row in found(doctor(empty, data), "streams") if row["status"] == "error"]
        assert "MAGI_LOG is missing, and was there before" in row["found"]
        assert "store_dir" in row["advice"]
        assert magi("streams", "apply", data=data, **at(empty)).code == 2
        (data / "streams.json").unlink()
        assert magi("streams", "apply", data=data, **at(empty)).code == 0


def test_a_log_that_was_made_anew(tmp_path: Path, data: Path) -> None:
    with NatsServer(tmp_path / "nats") as server:
        assert magi("streams", "apply", data=data, **at(server)).code == 0
        seen = json.loads((data / "streams.json").read_bytes())
        seen[server.url]["MAGI_LOG"] = "2026-01-01T00:00:00Z"
        (data / "streams.json").write_text(json.dumps(seen))
        (row,) = [row for row in found(doctor(server, data), "streams") if row["status"] == "error"]
        assert "MAGI_LOG was made anew" in row["found"]


@pytest.mark.parametrize(("seconds", "status", "said"), [(60, "error", "ahead of"), (-2, "warning", "behind")])
def test_a_clock_that_is_off(fresh_nats: NatsServer, data: Path, seconds: int, status: str, said: str) -> None:
    """The clock is put wrong where it is read: a machine's own is not a test's to change."""
    honest = time.time_ns
    with patch.object(checks_bus.time, "time_ns", lambda: honest() + seconds * 1_000_000_000):
        (row,) = found(doctor(fresh_nats, data), "clock")
    assert row["status"] == status
    assert said in row["found"]
    assert "NTP" in row["advice"]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of 16 MiB."""
    folder = tmp_path / "small"
    folder.mkdir()
    try:
        mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=16m", "magi", str(folder)], capture_output=True)
    except FileNotFoundError:
        pytest.skip("there is no mount")
    if mounted.returncode:
        pytest.skip(f"no disk can be mounted here: {mounted.stderr.decode().strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def test_a_disk_that_is_nearly_full(small_disk: Path, data: Path) -> None:
    with NatsServer(small_disk / "nats") as server:
        result = doctor(server, data)
        assert [row["status"] for row in found(result, "nats disk")] == ["error"]
        assert "make room" in found(result, "nats disk")[0]["advice"]
        assert found(doctor(server, small_disk), "disk")[0]["status"] == "error"


def test_the_default_sync_on_a_single_server(fresh_nats: NatsServer, data: Path) -> None:
    assert magi("streams", "apply", data=data, **at(fresh_nats)).code == 0
    result = magi("doctor", "--json", data=data, **at(fresh_nats, sync="always"))
    (row,) = found(result, "sync_interval")
    assert row["status"] == "error"
    assert "2m, with one copy: a power cut loses" in row["found"]
    assert 'sync_interval: "always"' in row["advice"]
    (copies,) = found(result, "copies")
    assert copies["status"] == "warning"
    assert "one copy of everything" in copies["found"]


def test_a_server_that_takes_only_small_messages(tmp_path: Path, data: Path) -> None:
    with NatsServer(tmp_path / "nats", config="max_payload: 256KB\nmax_connections: 2") as server:
        result = doctor(server, data)
        assert found(result, "max_payload")[0]["status"] == "error"
