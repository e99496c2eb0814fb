"""`magi top` as it runs: look, draw, wait for a key or for the next look, until it is quit."""

import asyncio
import signal
from collections.abc import Callable, Coroutine, Sequence
from pathlib import Path

import msgspec
from rich.console import Console
from rich.text import Text

from magi.cli.top.collect import Collector, collecting
from magi.cli.top.display import Display, displayed
from magi.cli.top.draw_requests import Trends
from magi.cli.top.frame import Frame
from magi.cli.top.picture import as_svg
from magi.cli.top.places import Places
from magi.cli.top.recorder import Recorder
from magi.cli.top.screen import draw, without_blank_ends
from magi.cli.top.table import cut
from magi.cli.top.view import View, pressed
from magi.cli.top.words import said

SECOND_LOOK = 1.0
"""Seconds between the two looks of a frame that is printed once: rates need two, and at most so long."""


async def one_frame(places: Places, interval: float) -> tuple[Frame, Trends]:
    """A frame of two looks, which rates need."""
    recorder = Recorder()
    async with collecting(places) as collector:
        recorder.observe(await collector.look())
        await asyncio.sleep(min(interval, SECOND_LOOK))
        return recorder.observe(await collector.look()), recorder.trends


async def tell_frames(places: Places, interval: float, tell: Callable[[str], None], frames: int | None = None) -> None:
    """Frames as JSON: so many, or until SIGINT or SIGTERM."""
    if frames is not None:
        for _ in range(frames):
            frame, _ = await one_frame(places, interval)
            tell(as_json(frame))
        return
    async with collecting(places) as collector:
        await _until(_until_signal(), _forever(collector, interval, lambda f: tell(as_json(f)), Recorder()))


def as_json(frame: Frame) -> str:
    return msgspec.json.encode(frame).decode()


async def run(places: Places, interval: float, console: Console) -> None:
    """The live view, until `q`, SIGINT, SIGTERM or SIGHUP."""
    stop = _until_signal()
    live = _Live(stop)
    with displayed(console, live.press) as display:
        live.display = display
        loop = asyncio.get_running_loop()
        loop.add_signal_handler(signal.SIGWINCH, live.redraw)
        loop.add_signal_handler(signal.SIGTSTP, live.suspend)
        async with collecting(places) as collector:
            live.show_words(f"looking at {places.look().source} …")
            try:
                await _until(stop, _forever(collector, interval, live.take, live.recorder))
            finally:
                display.close()  # now, not after a server that hangs has been left


async def _until(stop: asyncio.Event, work: Coroutine[object, object, None]) -> None:
    """Work until the stop. Raises what the work does."""
    tasks = [asyncio.ensure_future(work), asyncio.ensure_future(stop.wait())]
    try:
        await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        if tasks[0].done():
            tasks[0].result()
    finally:
        for task in tasks:
            task.cancel()


async def _forever(collector: Collector, interval: float, show: Callable[[Frame], None], recorder: Recorder) -> None:
    loop = asyncio.get_running_loop()
    while True:
        began = loop.time()
        show(recorder.observe(await collector.look()))
        await asyncio.sleep(max(0.05, began + interval - loop.time()))


def _until_signal() -> asyncio.Event:
    stop = asyncio.Event()
    for sign in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    return stop


class _Live:
    """What is on the screen now, and what keys make of it."""

    display: Display

    def __init__(self, stop: asyncio.Event) -> None:
        self.recorder = Recorder()
        self._stop = stop
        self._view = View()
        self._frame: Frame | None = None
        self._trends: dict[str, Sequence[float | None]] = {}

    def take(self, frame: Frame) -> None:
        """A new frame. While the screen is held still it is let go."""
        if self._view.paused and self._frame:
            return
        self._frame = frame
        self._trends = {name: tuple(values) for name, values in self.recorder.trends.items()}
        self._draw()

    def press(self, key: str) -> None:
        if key == "q":
            self._stop.set()
            return
        if key == "w":
            self._write()
            return
        self._view = pressed(self._view, key, max(1, self.display.size[1] - 6))
        if self._frame:
            most = max(len(self._frame.voters), len(self._frame.backlog.partitions), len(self._frame.alerts)) - 1
            self._view = msgspec.structs.replace(self._view, first=max(0, min(self._view.first, most)))
        self._draw()

    def _write(self) -> None:
        """What is on the screen, as a picture, into the directory that top was started in."""
        if self._frame is None:
            return
        width, height = self.display.size
        drawn = without_blank_ends(draw(self._frame, self._trends, self._view, width, height)[:-1])
        at = self._frame.header.at
        file = Path(f"magi-top-{at[:19].replace(':', '')}Z.svg")
        try:
            file.write_text(as_svg(drawn, width, f"magi top, {at}"), "utf-8")
        except OSError as error:
            self._draw(f"{file}: {error.strerror}")
        else:
            self._draw(f"written: {file}")

    def redraw(self) -> None:
        """All of it: the terminal has another size."""
        self.display.forget()
        self._draw()

    def suspend(self) -> None:
        self.display.suspend()
        self._draw()

    def show_words(self, text: str) -> None:
        self.display.show([Text(), Text(f"  magi top: {text}")])

    def _draw(self, words: str = "") -> None:
        """The frame, with `words` in its last line until it is drawn again."""
        if self._frame is None:
            return
        width, height = self.display.size
        try:
            lines = draw(self._frame, self._trends, self._view, width, height)
            self.display.show([*lines[:-1], cut(said(words, "bold"), width)] if words else lines)
        except OSError:  # the terminal has gone
            self._stop.set()
