"""What the evaluation leaves in ``DATA/run/alerts.state`` each time: for `magi alerts`, and for its own next life."""

import contextlib
import os
from pathlib import Path

import msgspec
from msgspec import Struct

from magi.alerts.alert import Alert
from magi.alerts.notices import Told

FILE = "alerts.state"
STALE_AFTER = 90.0
"""Seconds after which nobody seems to evaluate any more: a minute is the longest between two evaluations."""


class Seen(Struct, frozen=True):
    """A target, and whether it answered."""

    part: str
    address: str
    up: bool


class AlertsState(Struct, frozen=True, kw_only=True):
    """The last evaluation."""

    at: float
    """Unix time."""
    rules: str
    """The file that they are from; empty: MAGI's own."""
    pid: int
    """The process that evaluates."""
    targets: tuple[Seen, ...]
    alerts: tuple[Alert, ...]
    """Sorted as `Evaluator.observe` does."""
    told: dict[str, Told] = {}
    failing: dict[str, str] = {}
    """Rules that can't be evaluated, and why."""
    series: int = 0


def read_state(run: Path) -> AlertsState | None:
    """None when there is none, or one of another version. MessagePack, since JSON has no infinity."""
    try:
        return msgspec.msgpack.decode((run / FILE).read_bytes(), type=AlertsState)
    except (OSError, msgspec.DecodeError, UnicodeDecodeError):
        return None


def evaluating(state: AlertsState) -> bool:
    """Whether the process that evaluated is there yet: one that was killed leaves its last evaluation behind."""
    if state.pid <= 0:
        return False
    try:
        os.kill(state.pid, 0)
    except PermissionError:  # somebody else's, and there
        return True
    except (OSError, OverflowError):
        return False
    return True


def write_state(run: Path, state: AlertsState) -> None:
    """Whole or not at all; it needn't outlive the machine, and so isn't synced. Raises OSError."""
    temporary = run / f".{FILE}.new"
    with contextlib.suppress(FileNotFoundError):
        temporary.unlink()
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(msgspec.msgpack.encode(state))
    temporary.replace(run / FILE)
