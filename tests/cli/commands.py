"""Running `magi …` in tests: within this process, which takes milliseconds, or as a program, which takes one second."""

import contextlib
import io
import logging
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from unittest.mock import patch

import structlog
from msgspec import Struct

from magi.cli.main import run
from magi.telemetry import detail
from tests.cli.serving import environment

_FRAME = dict.fromkeys(map(ord, "╭─╮│╰╯"), " ")


class Result(Struct, frozen=True):
    code: int
    stdout: str
    stderr: str

    @property
    def lines(self) -> list[str]:
        return self.stdout.splitlines()

    @property
    def complaint(self) -> str:
        """What stands on stderr, without the frame and the line ends that usage errors are drawn with."""
        return " ".join(self.stderr.translate(_FRAME).split())

    @property
    def last_word(self) -> str:
        return self.stdout.split()[-1]


def magi(*arguments: str, data: Path, stdin: bytes = b"", **variables: str) -> Result:
    """The command within this process, over `data`. Not for async tests, nor for what ends by a signal."""
    variables = {"MAGI_DATA": str(data), **variables}
    out, err = io.TextIOWrapper(io.BytesIO(), "utf-8"), io.TextIOWrapper(io.BytesIO(), "utf-8")
    with (
        patch.dict("os.environ", environment(**variables), clear=True),
        patch.object(sys, "argv", ["magi", *arguments]),
        patch.object(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), "utf-8")),
        contextlib.redirect_stdout(out),
        contextlib.redirect_stderr(err),
        logs_as_they_were(),
    ):
        try:
            run()
            code: object = 0
        except SystemExit as end:
            code = end.code
    return Result(code if isinstance(code, int) else 0, _written(out), _written(err))


def _written(stream: io.TextIOWrapper) -> str:
    stream.flush()
    return stream.buffer.getvalue().decode()  # type: ignore[attr-defined,no-any-return]


@contextlib.contextmanager
def logs_as_they_were() -> Iterator[None]:
    """A command sets logging up for its process; the next test is to find it as it was."""
    structured, handlers, level = structlog.get_config(), logging.root.handlers[:], logging.root.level
    websockets = logging.getLogger("websockets")
    their_level = websockets.level
    try:
        yield
    finally:
        structlog.configure(**structured)
        detail.want(True)
        logging.root.handlers[:] = handlers
        logging.root.setLevel(level)
        websockets.setLevel(their_level)


def program(*arguments: str, data: Path, **variables: str) -> subprocess.Popen[bytes]:
    """The command as a process, with pipes."""
    return subprocess.Popen(
        [sys.executable, "-m", "magi", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=environment(MAGI_DATA=str(data), **variables),
    )
