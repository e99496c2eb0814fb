"""`magi gateway` as a process of its own: started as an operator starts it, told to end, killed."""

import os
import signal
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from magi.embedded.process import Child, Command, spawn
from magi.embedded.runfile import read_note
from tests.waiting import until

READY_WITHIN = 60.0
_NAME = "gateway"


class GatewayProcess:
    """Made by `gateway_process`."""

    def __init__(self, data: Path, environment: dict[str, str]) -> None:
        self._data = data
        self._environment = environment
        self._child: Child
        self.port = 0

    @property
    def pid(self) -> int:
        return self._child.pid

    @property
    def said(self) -> str:
        """What it has logged."""
        return (self._data / "log").read_text(errors="replace")

    async def start(self) -> None:
        """Start it (again, on the port that it had) and return when it is ready."""
        (self._data / "run").mkdir(parents=True, exist_ok=True)
        kept = {key: value for key, value in os.environ.items() if key.startswith(("PYTHON", "COVERAGE_", "VIRTUAL_"))}
        command = Command(
            (sys.executable, "-m", "magi", "gateway", "--data", str(self._data), "--port", str(self.port)),
            cwd=Path.cwd(),
            dies_by=signal.SIGKILL,
            env={**kept, "PYTHONPATH": str(Path(__file__).parents[2]), **self._environment},
        )
        self._child = await spawn(command, self._data / "log")
        note = self._data / "run" / f"{_NAME}.json"

        async def ready() -> bool:
            assert self._child.exit_code is None, self.said
            return read_note(note).pid == self._child.pid

        await until(ready, "magi gateway is ready", READY_WITHIN)
        self.port = read_note(note).port or 0

    def signal(self, number: signal.Signals) -> None:
        self._child.send(number)

    async def ended(self) -> int:
        """Its exit code, once it has ended."""
        return await self._child.wait()

    async def stop(self) -> tuple[int, float]:
        """SIGTERM it: its exit code and the seconds that it took."""
        began = time.monotonic()
        self.signal(signal.SIGTERM)
        return await self.ended(), time.monotonic() - began

    async def kill(self) -> None:
        """SIGKILL it, and wait until it is gone."""
        await self._child.stop(())


@asynccontextmanager
async def gateway_process(data: Path, nats_url: str, **settings: object) -> AsyncIterator[GatewayProcess]:
    """A gateway on the nats-server at `nats_url`; `settings` are those of the section `gateway`, by their last names
    (``grace_seconds``), others by ``section__name``. Killed in the end, however the test ends."""
    named = {
        name.upper().replace("__", "_") if "__" in name else f"GATEWAY_{name.upper()}": str(value)
        for name, value in settings.items()
    }
    environment = {
        "MAGI_PART": _NAME,
        "MAGI_NATS_URL": nats_url,
        "MAGI_NATS_SYNC_INTERVAL": "any",
        **{f"MAGI_{name}": value for name, value in named.items()},
    }
    gateway = GatewayProcess(data, environment)
    await gateway.start()
    try:
        yield gateway
    finally:
        await gateway.kill()
