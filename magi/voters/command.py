"""A voter that is a program: the task as JSON on standard input, the vote as JSON on standard output.

The program runs as the same user as MAGI: it is trusted, what it is given to judge is not. No shell comes between them.
"""

import os
import signal
from collections.abc import Mapping
from typing import Annotated, Any

import msgspec
from msgspec import UNSET, Meta, Struct

from magi.domain.messages import Confidence, Opinion, Task, Vote, encode
from magi.eventstore.presence import now_ms
from magi.voters.agent import CannotJudge
from magi.voters.child import Finished, Stopped, run
from magi.voters.escaping import escaped
from magi.voters.kind_settings import read_settings
from magi.voters.patience import seconds_to_judge

PASSED_ON = ("PATH", "HOME", "TMPDIR", "TZ", "LANG", "LC_ALL", "LC_CTYPE")
"""All that a command sees of MAGI's environment, besides what its settings name."""
_OURS = "MAGI_"
"""How the names of our own variables begin. Among them are seeds and tokens: no command gets any."""
_MIN_SECRET = 6

Word = Annotated[str, Meta(pattern=r"\A[^\x00]*\Z")]
Variable = Annotated[str, Meta(pattern=r"\A[A-Za-z_][A-Za-z0-9_]*\Z")]


class CommandSettings(Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a voter of the kind `command` is registered with."""

    argv: Annotated[tuple[Word, ...], Meta(min_length=1)]
    """The program and its arguments. A relative path begins where ``magi`` was started; a bare name is in PATH."""
    timeout_seconds: Annotated[float, Meta(gt=0, le=86_400)] = 60.0
    """For one task; the task's own deadline may be sooner."""
    max_output_bytes: Annotated[int, Meta(ge=64, le=16_777_216)] = 65_536
    env: tuple[Variable, ...] = ()
    """Names of variables that the program gets besides `PASSED_ON`, when they are set."""

    def __post_init__(self) -> None:
        if not self.argv[0]:
            raise ValueError("argv: expected a program")
        if ours := [name for name in self.env if name.startswith(_OURS)]:
            raise ValueError(f"env: {ours[0]} is MAGI's own and isn't passed on")


class _Said(Struct, frozen=True):
    vote: Vote
    reason: str | None = None
    confidence: Confidence | None = None


_decode = msgspec.json.Decoder(_Said).decode


class CommandJudge:
    """Runs a program once for each task."""

    def __init__(self, settings: CommandSettings) -> None:
        self._settings = settings

    async def judge(self, task: Task) -> Opinion:
        """What the program says. Raises CannotJudge: it can't be started, fails, says no vote, or passes a bound."""
        settings = self._settings
        seconds = min(settings.timeout_seconds, seconds_to_judge(task, now_ms()))
        try:
            finished = await run(
                settings.argv,
                environment(settings, os.environ),
                task_line(task),
                seconds=seconds,
                max_output=settings.max_output_bytes,
            )
        except OSError as error:
            raise CannotJudge(f"the command can't be started: {error.strerror or type(error).__name__}") from error
        except Stopped as stopped:
            raise CannotJudge(f"the command {stopped} and was stopped{self._last_words(stopped.errors)}") from None
        return self._opinion(finished)

    async def close(self) -> None:
        """Nothing to give back: each program ends with its task."""

    def _opinion(self, finished: Finished) -> Opinion:
        if finished.status != 0:
            raise CannotJudge(f"the command {_ending(finished.status)}{self._last_words(finished.errors)}")
        if not finished.output.strip():
            raise CannotJudge(f"the command said nothing{self._last_words(finished.errors)}")
        try:
            said = _decode(finished.output)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise CannotJudge(f"what the command said is no vote: {escaped(str(error))}") from None
        return Opinion(said.vote, said.reason, said.confidence)

    def _last_words(self, errors: bytes) -> str:
        """The last line of standard error, without what the program was entrusted with."""
        text = errors.decode(errors="replace")
        for name in self._settings.env:
            value = os.environ.get(name, "")
            if len(value) >= _MIN_SECRET:
                text = text.replace(value, "***")
        lines = text.split("\n")
        last = next((line.strip() for line in reversed(lines) if line.strip()), "")
        return f": {escaped(last)}" if last else ""


def command_judge(settings: Mapping[str, Any]) -> CommandJudge:
    """The judge of a voter that is registered with these settings. Raises BadSettings."""
    return CommandJudge(read_settings(settings, CommandSettings))


def environment(settings: CommandSettings, ours: Mapping[str, str]) -> dict[str, str]:
    """All of `ours` that the program gets."""
    return {name: ours[name] for name in (*PASSED_ON, *settings.env) if name in ours}


def task_line(task: Task) -> bytes:
    """The task as a voter over a WebSocket gets it (PROTOCOL §2): one line of JSON."""
    return encode(msgspec.structs.replace(task, ballot_subject=UNSET)) + b"\n"


def _ending(status: int) -> str:
    if status >= 0:
        return f"ended with exit status {status}"
    try:
        return f"was ended by {signal.Signals(-status).name}"
    except ValueError:
        return f"was ended by signal {-status}"
