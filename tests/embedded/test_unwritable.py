"""A full disk, made of a small file system in memory: nats-server stops writing, and goes on once there is room."""

import asyncio
import contextlib
import subprocess
from collections.abc import Iterator
from pathlib import Path

import nats
import pytest
from nats.aio.client import Client
from nats.errors import Error as NatsError

from magi.embedded import unwritable
from magi.embedded.datadir import DataDir
from magi.embedded.nats import EmbeddedNats
from magi.embedded.supervisor import ServerRestarted
from magi.embedded.unwritable import WriteFailures
from tests.waiting import until

SIZE = "96m"
MESSAGE = b"x" * 4096


def test_only_what_is_new_in_the_log_counts(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"[ERR] Filestore [MAGI_LOG] Critical write error: no space left on device\n")
    failures = WriteFailures(log)
    assert not failures.new()
    with log.open("ab") as file:
        file.write(b"[INF] all is well\n")
    assert not failures.new()
    with log.open("ab") as file:
        file.write(b"[ERR] JetStream failed to store a msg on stream 'MAGI > MAGI_LOG': no space left\n")
    assert failures.new()
    assert not failures.new()
    log.write_bytes(b"[ERR] Filestore [MAGI_LOG] Critical write error\n")  # set aside, and begun anew
    assert failures.new()


def test_what_a_client_says_of_itself_is_no_sign(tmp_path: Path) -> None:
    log = tmp_path / "log"
    log.write_bytes(b"")
    failures = WriteFailures(log)
    sign = b"[1] 2026/11/23 00:27:21.1 [ERR] JetStream failed to store a msg on stream 'MAGI > MAGI_LOG': no space"
    begin = b"[29543] 2026/11/23 00:27:21.131686 [ERR] 127.0.0.1:45378 - cid:5 - "
    with log.open("ab") as file:
        file.write(begin + b'authentication error - User "' + sign + b'"\n')
        file.write(begin + b'"v2:python3:' + sign + b'" - "MAGI/nkey:U" - Publish Violation - Subject "b"\n')
    assert not failures.new()
    line = b'"\n' + b"x" * 65500 + b"\n"
    log.write_bytes(begin + b'"v2:python3:' + sign + line)  # it is read from within the name on
    assert not failures.new()
    with log.open("ab") as file:
        file.write(sign + b"\n")
    assert failures.new()


async def test_a_log_that_can_not_be_read_is_looked_at_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unwritable, "EVERY", 0.02)
    monkeypatch.setattr(unwritable, "ROOM", 1)
    log = tmp_path / "log"
    log.mkdir()  # as what can't be opened
    restarted = asyncio.Event()
    watch = asyncio.create_task(unwritable.restart_when_writable(log, tmp_path, restarted.set))
    await asyncio.sleep(0.1)
    assert not watch.done()
    log.rmdir()
    log.write_bytes(b"[ERR] Filestore [MAGI_LOG] Critical write error: no space left on device\n" * 100)
    async with asyncio.timeout(30):
        await restarted.wait()
    watch.cancel()


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system that is soon full."""
    folder = tmp_path / "small"
    folder.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={SIZE}", "tmpfs", str(folder)], capture_output=True, text=True
    )
    if mounted.returncode != 0:
        pytest.skip(f"only who may mount can make a full disk: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", str(folder)], check=True)


def fill(ballast: Path) -> None:
    with ballast.open("wb", buffering=0) as file, contextlib.suppress(OSError):
        while file.write(bytes(65536)) > 0:
            pass


async def stored(client: Client) -> bool:
    try:
        await client.jetstream(timeout=2.0).publish("log.x", MESSAGE)
    except (NatsError, nats.js.errors.Error):
        return False
    return True


async def test_after_a_full_disk_it_writes_again_and_has_all_that_it_acknowledged(
    small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(unwritable, "EVERY", 0.05)
    restarts: list[ServerRestarted] = []
    with DataDir.open(small / "data") as data:
        server = EmbeddedNats(data, on_restart=restarts.append)
        await server.start()
        try:
            client = await nats.connect(
                server.url, nkeys_seed=str(server.seed_file), reconnect_time_wait=0.05, max_reconnect_attempts=-1
            )
            js = client.jetstream(timeout=2.0)
            await js.add_stream(name="LOG", subjects=["log.>"])
            assert await stored(client)
            acknowledged = 1
            ballast = small / "ballast"
            fill(ballast)
            while await stored(client):  # what is left of blocks that were begun
                acknowledged += 1
            assert not restarts
            ballast.unlink()

            async def again() -> bool:
                return await stored(client)

            await until(again, "it stores again", 60)
            assert len(restarts) == 1
            state = (await js.stream_info("LOG")).state
            assert acknowledged + 1 <= state.messages
            assert state.last_seq == state.messages
            await client.close()
        finally:
            await server.stop()
