"""`python -m tests.chaos.night [--minutes 15] [--folder FOLDER]`: FOLDER/night.md and pictures. See the package."""

import argparse
import asyncio
import contextlib
import signal
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil  # type: ignore[import-untyped]
from msgspec import Struct

from tests.chaos.clients import Initiator
from tests.chaos.night.house import CommandFailed, House
from tests.chaos.night.load import Load
from tests.chaos.night.receiver import Receiver
from tests.chaos.night.report import Incident, report

LEAVE = 48 * 1024 * 1024
"""Bytes that a nearly full disk has left, for the alert that comes before it is full."""


class Step(Struct, frozen=True):
    """`begin` happens at a share of the night, and `end`, which puts it right, at another."""

    name: str
    begins: float
    ends: float
    begin: Callable[[], Awaitable[None]]
    end: Callable[[], Awaitable[None]]


class Night:
    def __init__(self, house: House) -> None:
        self._house = house

    def steps(self) -> list[Step]:
        """In shares of the night: in a quarter of an hour 0.1 is 90 s."""
        steps = [
            Step("the voter dora dies", 0.08, 0.2, self._kill("dora"), self._start("dora")),
            Step("the voter edgar fails everything", 0.3, 0.97, self._edgar_fails, self._edgar_votes),
            Step("Postgres hangs", 0.24, 0.38, self._signal("postgres", signal.SIGSTOP), self._go_on("postgres")),
            Step("the orchestrator is killed", 0.42, 0.46, self._signal("orchestrator", signal.SIGKILL), _nothing),
            Step(
                "the orchestrator hangs",
                0.47,
                0.55,
                self._signal("orchestrator", signal.SIGSTOP),
                self._go_on("orchestrator"),
            ),
            Step("the gateway is killed", 0.6, 0.64, self._signal("gateway", signal.SIGKILL), _nothing),
            Step("the gateway hangs", 0.65, 0.73, self._signal("gateway", signal.SIGSTOP), self._go_on("gateway")),
        ]
        if self._house.small:
            steps += [
                Step("the disk is nearly full", 0.76, 0.86, self._fill(LEAVE), _nothing),
                Step("the disk is full", 0.86, 0.92, self._fill(0), self._make_room),
            ]
        return sorted(steps, key=lambda step: step.begins)

    def _kill(self, voter: str) -> Callable[[], Awaitable[None]]:
        async def kill() -> None:
            self._house.kill_voter(voter)

        return kill

    def _start(self, voter: str) -> Callable[[], Awaitable[None]]:
        async def start() -> None:
            self._house.start_voter(voter)

        return start

    async def _edgar_fails(self) -> None:
        (self._house.folder / "edgar-fails").touch()

    async def _edgar_votes(self) -> None:
        (self._house.folder / "edgar-fails").unlink()

    def _signal(self, part: str, number: signal.Signals) -> Callable[[], Awaitable[None]]:
        async def send() -> None:
            for process in self._house.processes(part):
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.send_signal(number)

        return send

    def _go_on(self, part: str) -> Callable[[], Awaitable[None]]:
        return self._signal(part, signal.SIGCONT)

    def _fill(self, leave: int) -> Callable[[], Awaitable[None]]:
        def fill() -> None:
            with (self._house.disk / "ballast").open("ab", buffering=0) as file, contextlib.suppress(OSError):
                while psutil.disk_usage(str(self._house.disk)).free > leave and file.write(bytes(65536)):
                    pass

        async def begin() -> None:
            await asyncio.to_thread(fill)

        return begin

    async def _make_room(self) -> None:
        (self._house.disk / "ballast").unlink()


async def _nothing() -> None:
    """A part that was killed is started again by `magi serve`."""


async def live_through(house: House, steps: list[Step], seconds: float) -> list[Incident]:
    """Have each happen and end in its time, with a picture of `magi top` in between."""
    began = time.monotonic()
    incidents: list[Incident] = []

    async def live(step: Step) -> None:
        await asyncio.sleep(max(0.0, step.begins * seconds - (time.monotonic() - began)))
        incident = Incident(step.name, time.time())
        incidents.append(incident)
        sys.stdout.write(f"{(time.monotonic() - began) / 60:5.1f} min  {step.name}\n")
        await step.begin()
        length = (step.ends - step.begins) * seconds
        await asyncio.sleep(length * 0.8)
        incident.picture = await _picture(house, step.name)
        await asyncio.sleep(max(0.0, step.ends * seconds - (time.monotonic() - began)))
        await step.end()
        incident.ended = time.time()

    await asyncio.gather(*(live(step) for step in steps))
    await asyncio.sleep(max(0.0, seconds - (time.monotonic() - began)))
    return incidents


async def _picture(house: House, name: str) -> str:
    file = house.pictures / f"{name.replace(' ', '-')}.svg"
    try:
        await asyncio.wait_for(house.magi("top", "--once", "--svg", str(file), "--size", "120x44"), 30)
    except (CommandFailed, TimeoutError) as error:
        return f"none: {error}"
    return file.name


async def main(minutes: float, folder: Path) -> None:
    async with Receiver() as receiver:
        secret = folder / "webhook.secret"
        secret.write_text(receiver.secret)
        secret.chmod(0o600)
        house = House(folder, {"MAGI_ALERTS_WEBHOOK_URL": receiver.url, "MAGI_ALERTS_WEBHOOK_SECRET_FILE": str(secret)})
        try:
            await house.start()
            load = Load(Initiator("night", house.token, lambda: house.url))
            under_load = asyncio.create_task(load.run())
            began = time.time()
            incidents = await live_through(house, Night(house).steps(), minutes * 60)
            under_load.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await under_load
            checks = {}
            for command in ("audit verify --all", "projections verify", "alerts"):
                try:
                    checks[command] = (await house.magi(*command.split())).decode()
                except CommandFailed as error:
                    checks[command] = str(error)
            text = report(began, incidents, receiver.posted, load, checks)
            (folder / "night.md").write_text(text)
            sys.stdout.write(text)
        finally:
            await asyncio.to_thread(house.stop)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description="A night on call.")
    parser.add_argument("--minutes", type=float, default=15.0)
    parser.add_argument("--folder", type=Path)
    given = parser.parse_args()
    where = given.folder or Path(tempfile.mkdtemp(prefix="magi-night-"))
    where.mkdir(exist_ok=True)
    asyncio.run(main(given.minutes, where.absolute()))
