import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from magi.embedded.leftovers import is_ours, stop_leftover
from tests.embedded.processes import alive

STOP = ((signal.SIGTERM, 5.0),)


@contextmanager
def running(*command: str) -> Iterator[subprocess.Popen[bytes]]:
    """A process that has told a line, killed at the end."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, start_new_session=True) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def stand_in(directory: Path, *arguments: str) -> tuple[str, ...]:
    """A command line that looks like a server's: sleep by another name."""
    return ("/bin/sh", "-c", "echo; sleep 60 & wait", str(directory / "nats-server"), *arguments)


async def test_a_server_over_our_directory_is_stopped(tmp_path: Path) -> None:
    with running(*stand_in(tmp_path, "-c", str(tmp_path / "conf"))) as process:
        assert is_ours(process.pid, "nats-server", tmp_path / "conf")
        await stop_leftover("nats-server", process.pid, "nats-server", tmp_path / "conf", STOP)
        assert not alive(process.pid)
        assert process.wait() == -signal.SIGTERM


async def test_a_server_over_another_directory_is_left_alone(tmp_path: Path) -> None:
    with running(*stand_in(tmp_path, "-c", str(tmp_path / "other.conf"))) as process:
        await stop_leftover("nats-server", process.pid, "nats-server", tmp_path / "conf", STOP)
        assert alive(process.pid)


async def test_another_program_with_that_process_id_is_left_alone(tmp_path: Path) -> None:
    with running("/bin/sh", "-c", "echo; sleep 60 & wait", "sh", str(tmp_path / "conf")) as process:
        await stop_leftover("nats-server", process.pid, "nats-server", tmp_path / "conf", STOP)
        assert alive(process.pid)


async def test_a_process_that_has_ended_is_nobodys(tmp_path: Path) -> None:
    with running(*stand_in(tmp_path, "-c", str(tmp_path / "conf"))) as process:
        process.kill()
    assert not is_ours(process.pid, "nats-server", tmp_path / "conf")
    await stop_leftover("nats-server", process.pid, "nats-server", tmp_path / "conf", STOP)
    await stop_leftover("nats-server", None, "nats-server", tmp_path / "conf", STOP)
