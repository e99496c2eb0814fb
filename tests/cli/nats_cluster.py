"""Three nats-servers as a cluster for tests, on configurations that `magi nats servers` has written."""

import contextlib
import random
import socket
import subprocess
import urllib.request
from collections.abc import Iterator
from pathlib import Path

from magi.embedded.cluster_config import ROUTE_PORTS
from tests.cli.commands import magi
from tests.servers import find_nats_server
from tests.waiting import eventually

NAMES = ("n1", "n2", "n3")
TRIES = 5
_WATCHDOG = 'read -r _; kill -9 "$1"'


class NatsCluster:
    """Runs from the constructor on. The ports are free ones; should somebody take one meanwhile, others are tried."""

    def __init__(self, folder: Path) -> None:
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        self._watchdogs: list[subprocess.Popen[bytes]] = []
        for number in range(TRIES):
            self.folder = folder / f"cluster{number}"
            self.ports = _free_ports()
            places = [f"{name}=127.0.0.1:{port}" for name, port in zip(NAMES, self.ports, strict=True)]
            options = ("--out", str(self.folder), "--seeds", str(self.seeds), "--store-dir", str(self.folder / "store"))
            self.printed = magi(
                "nats",
                "servers",
                *places,
                *options,
                "--max-file-store",
                "1GB",
                data=folder,
                MAGI_NATS_SYNC_INTERVAL="any",
            )
            assert self.printed.code == 0, self.printed.stderr
            for name in NAMES:
                self.start(name)
            eventually(lambda: self._all_up() or self._one_ended(), "three servers are up", 30)
            if not self._one_ended():
                return
            self.stop()
        raise AssertionError(self.log("n1") + self.log("n2") + self.log("n3"))

    @property
    def seeds(self) -> Path:
        return self.folder / "seeds"

    @property
    def settings(self) -> dict[str, str]:
        """The environment of MAGI's commands; the first server is the one that is monitored."""
        return {
            "MAGI_NATS_URL": ",".join(f"nats://127.0.0.1:{port}" for port in self.ports),
            "MAGI_NATS_SEED_DIR": str(self.seeds),
            "MAGI_NATS_MONITOR_URL": f"http://127.0.0.1:{self.monitor_port('n1')}",
            "MAGI_NATS_SYNC_INTERVAL": "any",
            "MAGI_NATS_REPLICAS": "3",
        }

    def monitor_port(self, name: str) -> int:
        return self.ports[NAMES.index(name)] + 2 * ROUTE_PORTS

    def start(self, name: str) -> None:
        with (self.folder / f"{name}.log").open("ab") as log:
            process = subprocess.Popen(
                [find_nats_server(), "-c", str(self.folder / name / "nats-server.conf")],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self._processes[name] = process
        self._watchdogs.append(
            subprocess.Popen(
                ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(process.pid)],
                stdin=subprocess.PIPE,
                start_new_session=True,
            )
        )

    def stop(self) -> None:
        for process in self._processes.values():
            process.kill()
            process.wait()
        for watchdog in self._watchdogs:
            watchdog.kill()
            watchdog.communicate()
        self._watchdogs.clear()

    def log(self, name: str) -> str:
        return (self.folder / f"{name}.log").read_text(errors="replace")

    def _all_up(self) -> bool:
        return all(self._healthy(name) for name in NAMES)

    def _healthy(self, name: str) -> bool:
        with contextlib.suppress(OSError):
            url = f"http://127.0.0.1:{self.monitor_port(name)}/healthz"
            with urllib.request.urlopen(url, timeout=30) as answer:
                return bool(answer.status == 200)
        return False

    def _one_ended(self) -> bool:
        return any(process.poll() is not None for process in self._processes.values())


@contextlib.contextmanager
def nats_cluster(folder: Path) -> Iterator[NatsCluster]:
    cluster = NatsCluster(folder)
    try:
        yield cluster
    finally:
        cluster.stop()


def _free_ports() -> list[int]:
    """Three, with those for routes and monitoring free as well."""
    found: list[int] = []
    while len(found) < len(NAMES):
        port = random.randint(11_000, 28_000)
        if port not in found and all(_is_free(port + number * ROUTE_PORTS) for number in range(3)):
            found.append(port)
    return found


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
