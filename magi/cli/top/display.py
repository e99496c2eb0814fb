"""The terminal that `magi top` has for itself while it runs, and gives back as it was."""

import asyncio
import contextlib
import io
import os
import signal
import sys
import termios
import tty
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from magi.cli.top.keys import keys

_AT_MOST = 4096


class Display:
    """Between `open` and `close` the terminal shows nothing but what is drawn. Both may be called again."""

    def __init__(self, console: Console, on_key: Callable[[str], None]) -> None:
        self._console = console
        self._on_key = on_key
        self._loop = asyncio.get_running_loop()
        self._keyboard = sys.stdin.fileno() if sys.stdin.isatty() else None
        self._before: Any = None
        self._shown: list[str] = []
        self._is_open = False

    @property
    def size(self) -> tuple[int, int]:
        """Columns and lines, as they are now."""
        try:
            columns, lines = os.get_terminal_size(sys.stdout.fileno())
        except OSError:
            columns, lines = self._console.size
        return (columns, lines) if columns and lines else (80, 24)

    def open(self) -> None:
        if self._keyboard is not None:
            self._before = termios.tcgetattr(self._keyboard)
            # Keys one by one and unseen; Ctrl-C and Ctrl-Z are signals as ever.
            tty.setcbreak(self._keyboard, termios.TCSANOW)
            self._loop.add_reader(self._keyboard, self._read)
        self._console.set_alt_screen(True)
        self._console.show_cursor(False)
        self._shown = []
        self._is_open = True

    def close(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        with contextlib.suppress(OSError, termios.error):  # the terminal has gone
            if self._keyboard is not None and self._before is not None:
                self._loop.remove_reader(self._keyboard)
                termios.tcsetattr(self._keyboard, termios.TCSAFLUSH, self._before)
            self._console.show_cursor(True)
            self._console.set_alt_screen(False)

    def show(self, lines: Sequence[Text]) -> None:
        """Draw the lines that are not there yet: little is sent, and nothing flickers. Raises OSError."""
        self._console.width, _ = self.size  # its own goes by COLUMNS, which may be of another terminal
        with self._console.capture() as captured:
            for line in lines:
                self._console.print(line, overflow="crop", no_wrap=True, crop=False)
        rendered = captured.get().split("\n")[: len(lines)]
        changed = [i for i, line in enumerate(rendered) if i >= len(self._shown) or self._shown[i] != line]
        whole = len(self._shown) != len(rendered)
        self._shown = rendered
        pieces = ["\x1b[2J"] if whole else []
        for i in range(len(rendered)) if whole else changed:
            pieces.append(f"\x1b[{i + 1};1H\x1b[0m{rendered[i]}\x1b[0m\x1b[K")
        file = self._console.file
        file.write("".join(pieces))
        file.flush()

    def forget(self) -> None:
        """Draw all of it the next time: something else may have written there."""
        self._shown = []

    def suspend(self) -> None:
        """As Ctrl-Z does with other programs; returns when it is continued."""
        self.close()
        os.kill(os.getpid(), signal.SIGSTOP)
        self.open()

    def _read(self) -> None:
        assert self._keyboard is not None
        try:
            data = os.read(self._keyboard, _AT_MOST)
        except OSError:
            data = b""
        if not data:  # the terminal has gone; it would be ready for reading for ever
            self._loop.remove_reader(self._keyboard)
            self._on_key("q")
            return
        for key in keys(data):
            self._on_key(key)


@contextlib.contextmanager
def displayed(console: Console, on_key: Callable[[str], None]) -> Iterator[Display]:
    """The terminal, for the length of the block. What the block writes to stderr is shown after it."""
    display = Display(console, on_key)
    kept = io.StringIO()
    with contextlib.redirect_stderr(kept):
        display.open()
        try:
            yield display
        finally:
            display.close()
    if kept.getvalue():
        sys.stderr.write(kept.getvalue()[-_AT_MOST:])
