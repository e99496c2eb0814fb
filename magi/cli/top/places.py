"""Where to look: the parts of the `magi serve` over a data directory, or the operations ports that were named."""

from pathlib import Path
from typing import Protocol
from urllib.parse import urlsplit

from msgspec import Struct

from magi.cli.context import Context
from magi.cli.metrics import known_targets
from magi.cli.scrape import Target
from magi.cli.settings import SettingsError
from magi.embedded.runfile import read_note
from magi.telemetry.metric import EVERY_PART


class Place(Struct, frozen=True):
    """What is to be looked at now."""

    source: str
    targets: tuple[Target, ...]
    """An address is ``host:port``, or an address with its scheme when it was given so."""
    missing: tuple[str, ...] = ()
    pids: dict[str, int] = {}
    ctx: Context | None = None
    """Of the data directory: for NATS and Postgres."""
    problem: str = ""


class Places(Protocol):
    def look(self) -> Place:
        """Asked before every scrape: parts come and go."""
        ...


class OfData:
    """The parts over a data directory. What was there once is looked for until something else takes its place."""

    def __init__(self, data: Path | None) -> None:
        """Raises SettingsError."""
        self._data = data
        self._ctx = Context.load(data)
        self._targets: tuple[Target, ...] = ()

    def look(self) -> Place:
        problem = ""
        try:
            self._ctx = Context.load(self._data)
        except SettingsError as error:  # somebody is writing them
            problem = f"settings: {error}"
        ctx = self._ctx
        found = tuple(known_targets(ctx))
        self._targets = found or self._targets
        missing: tuple[str, ...] = ()
        if ctx.note:
            there = {target.part for target in found}
            missing = tuple(part for part in EVERY_PART if part not in there)
        if not found:
            problem = problem or self._why_nothing(ctx)
        notes = {part: read_note(ctx.data / "run" / f"{part}.json").pid for part in EVERY_PART}
        pids = {str(part): pid for part, pid in notes.items() if pid and ctx.note}
        return Place(str(ctx.data), self._targets, missing, pids, ctx, problem)

    @staticmethod
    def _why_nothing(ctx: Context) -> str:
        if not ctx.note:
            return f"no MAGI is running over {ctx.data}: waiting for `magi serve`"
        if not ctx.settings.operations.enabled:
            return "operations.enabled is off: no part shows its metrics"
        return "MAGI starts: no part shows its metrics yet"


class OfUrls:
    """Operations ports that were named one by one."""

    def __init__(self, urls: list[str]) -> None:
        """``host:port``, an URL, and either with ``part=`` before it. Raises ValueError."""
        self._targets = tuple(_target(url) for url in urls)

    def look(self) -> Place:
        return Place(" ".join(target.address for target in self._targets), self._targets)


def _target(text: str) -> Target:
    part, given, address = text.partition("=")
    if not given or part not in EVERY_PART:
        part, address = "", text
    address = address.rstrip("/").removesuffix("/metrics")
    url = address if "://" in address else f"http://{address}"
    try:
        split = urlsplit(url)
        reachable = split.scheme in ("http", "https") and split.hostname and (split.port or "://" in address)
    except ValueError:
        reachable = None
    if not reachable or any(not character.isprintable() for character in address):
        raise ValueError(f"expected HOST:PORT or an http address, perhaps with PART= before it, got {text[:80]!r}")
    return Target(part, address.removeprefix("http://"))


def metrics_url(target: Target) -> str:
    """Where a target is scraped."""
    return f"{target.address if '://' in target.address else f'http://{target.address}'}/metrics"
