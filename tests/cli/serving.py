"""A `magi serve` of one's own for tests: started as a user starts it, stopped and killed at will."""

import contextlib
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Self

import psutil

from tests.waiting import eventually

READY_WITHIN = 60.0
"""Seconds. Three are usual; on a machine that does something else, ten."""

_WATCHDOG = 'read -r _; kill -9 "$1"'
"""Kills it once its stdin ends, which the kernel sees to when the test process dies. Its children die with it."""


_BYTECODE = Path(tempfile.gettempdir()) / "magi-tests-bytecode"


def environment(**more: str) -> dict[str, str]:
    """Ours without MAGI's own variables, and `more`. Programs keep their bytecode, or half their start is compiling."""
    # COLUMNS, which tests that run in parallel are given, would count for more than a terminal's own width.
    kept = {k: value for k, value in os.environ.items() if not k.startswith("MAGI_") and k not in ("COLUMNS", "LINES")}
    if kept.pop("PYTHONDONTWRITEBYTECODE", ""):
        kept["PYTHONPYCACHEPREFIX"] = str(_BYTECODE)
    return {**kept, "NO_COLOR": "1", **more}


class Serve:
    """`magi serve` over `data`, on any free port, as a context manager or step by step."""

    def __init__(self, data: Path, **variables: str) -> None:
        """`variables` are set besides fast storage and one built-in voter."""
        self.data = data
        self._variables = {"MAGI_NATS_SYNC_INTERVAL": "any", "MAGI_VOTERS_BUILTIN": "melchior", **variables}
        self._output = data.with_name(data.name + ".out")
        self._process: subprocess.Popen[bytes] | None = None
        self._watchdog: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *exc: object) -> None:
        self.end()

    def end(self) -> None:
        """Stop it if it runs; a stop that isn't clean fails the test."""
        if self._process and self._process.poll() is None:
            code, _ = self.stop()
            assert code == 0, self.stderr
        self._forget()

    def begin(self, *arguments: str) -> subprocess.Popen[bytes]:
        """Start it without waiting for anything."""
        with self._output.open("wb") as output, self._error_file.open("wb") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "magi", "serve", "--data", str(self.data), *(arguments or ("--port", "0"))],
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=errors,
                env=environment(**self._variables),
                start_new_session=True,
            )
        self._watchdog = subprocess.Popen(
            ["/bin/sh", "-c", _WATCHDOG, "watchdog", str(self._process.pid)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        return self._process

    def start(self, *arguments: str) -> None:
        """Start it and return when it says that it is ready."""
        process = self.begin(*arguments)
        eventually(lambda: process.poll() is not None or "ready" in self.stdout, "magi serve is ready", READY_WITHIN)
        assert process.poll() is None, f"magi serve ended with {process.returncode}:\n{self.stderr}"

    def stop(self, sign: signal.Signals = signal.SIGTERM) -> tuple[int, float]:
        """Ask it to end: its exit code and the seconds that it took."""
        process = self.process
        began = time.monotonic()
        process.send_signal(sign)
        code = process.wait(90)
        took = time.monotonic() - began
        self._forget()
        return code, took

    def kill(self) -> None:
        """SIGKILL it, and nothing else."""
        self.process.kill()
        self.process.wait()
        self._forget()

    def _forget(self) -> None:
        if self._watchdog:
            self._watchdog.kill()
            self._watchdog.communicate()
            self._watchdog = None

    @property
    def process(self) -> subprocess.Popen[bytes]:
        assert self._process is not None
        return self._process

    @property
    def _error_file(self) -> Path:
        return self.data.with_name(self.data.name + ".err")

    @property
    def stdout(self) -> str:
        return self._output.read_text()

    @property
    def stderr(self) -> str:
        return self._error_file.read_text()

    @property
    def url(self) -> str:
        """Where Initiators connect."""
        return self.stdout.split()[-1]

    @property
    def nats_url(self) -> str:
        """Where voters connect."""
        return str(json.loads((self.data / "run" / "magi.json").read_bytes())["settings"]["nats.url"])

    @property
    def token(self) -> str:
        """The local Initiator's."""
        return (self.data / "keys" / "local.token").read_text().strip()

    def pid_of(self, name: str) -> int:
        """The process that runs as `name` now: gateway, orchestrator, voters, nats-server or postgres."""
        return int(json.loads((self.data / "run" / f"{name}.json").read_bytes())["pid"])

    def family(self) -> list[psutil.Process]:
        """It and all that it started."""
        found = [psutil.Process(self.process.pid)]
        return found + found[0].children(recursive=True)


def gone(processes: list[psutil.Process]) -> bool:
    """Whether none of them runs; a zombie, which nobody reaps in some containers, does not."""
    return not any(_runs(process) for process in processes)


def _runs(process: psutil.Process) -> bool:
    with contextlib.suppress(psutil.NoSuchProcess):
        return process.is_running() and bool(process.status() != psutil.STATUS_ZOMBIE)
    return False
