"""All commands of `magi`, with a line about each; a command's module is imported when it is called, and not before.

Importing all of them takes a second of processor time, most of it for libraries that the one command that is called
doesn't need.
"""

from collections.abc import Iterator, MutableMapping
from importlib import import_module
from typing import Any

import typer
import typer.main
from msgspec import Struct
from typer.core import TyperCommand, TyperGroup


class Place(Struct, frozen=True):
    """Where a command is."""

    module: str
    """Below `magi.cli`."""
    name: str
    """A function, or the Typer of a group of commands."""
    about: str
    """The first line of its help: a test holds both together."""


COMMANDS = {
    "demo": Place(
        "demo",
        "demo",
        "Start everything, judge the examples, show how, and end: takes under a minute and leaves nothing running.",
    ),
    "serve": Place(
        "serve",
        "serve",
        "Run everything until Ctrl-C: servers, gateway, orchestrator, projector and the built-in voters.",
    ),
    "gateway": Place("parts", "gateway", "Serve Initiators over WebSocket."),
    "orchestrator": Place("parts", "orchestrator", "Take submissions and ballots from the inbox and decide on them."),
    "voter": Place("parts", "voter", "Run voters, whatever is registered, changed or revoked meanwhile."),
    "projector": Place(
        "projector",
        "projector",
        "Keep the Postgres views up to date. Several may run: one works, the others take over.",
    ),
    "submit": Place(
        "submit", "submit", "Submit an answer to be judged, and watch. Exits 0 for pass, 1 for fail, 2 for an error."
    ),
    "vote": Place(
        "vote",
        "vote",
        "Judge by hand: shows the next task, takes pass, fail or abstain and a reason. Ctrl-C gives back what is open.",
    ),
    "doctor": Place(
        "doctor",
        "doctor",
        "Check servers, streams, versions, clock, durability and who is at work; say what to do about each finding.",
    ),
    "metrics": Place("metrics", "metrics", "Print the metrics of the parts that run, each sample with its part."),
    "top": Place(
        "top.command", "top", "Watch a running MAGI: requests, voters, backlog, latencies, alerts. Ends with q."
    ),
    "history": Place("history", "history", "Print the history of a request: who said what, when, and what came of it."),
    "replay": Place("replay", "replay", "Decide again, by the recorded rules; with --strategy also by another."),
    "export": Place(
        "export", "export", "Write histories, the bytes as they are stored, with what is needed to check them offline."
    ),
    "requests": Place("requests", "app", "Find requests."),
    "alerts": Place("alerts", "app", "What is wrong now, as the rules say."),
    "audit": Place("audit", "app", "Prove what happened, and see who changed what."),
    "initiators": Place("initiators", "app", "Who may submit, and their tokens."),
    "voters": Place("voters", "app", "Who judges."),
    "panels": Place("panels", "app", "Panels by name: which voters judge together."),
    "projections": Place("projections", "app", "The Postgres views: state, rebuild, comparison with the log."),
    "streams": Place("streams", "app", "The streams in NATS: apply, compare and check their declarations."),
    "nats": Place("nats_config", "app", "A NATS of your own."),
    "certs": Place("certs", "app", "Certificates for trying TLS."),
    "config": Place("config", "app", "The settings."),
}


class _Found(MutableMapping[str, Any]):
    """Commands by their names, each imported when it is taken out."""

    def __init__(self) -> None:
        self._known: dict[str, Any] = {}

    def __getitem__(self, name: str) -> Any:
        if name not in self._known:
            self._known[name] = _imported(name, COMMANDS[name])
        return self._known[name]

    def __setitem__(self, name: str, command: Any) -> None:
        self._known[name] = command

    def __delitem__(self, name: str) -> None:
        del self._known[name]

    def __iter__(self) -> Iterator[str]:
        return iter(COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS)

    def __contains__(self, name: object) -> bool:
        return name in COMMANDS


def _imported(name: str, place: Place) -> TyperCommand | TyperGroup:
    found = getattr(import_module(f"magi.cli.{place.module}"), place.name)
    own = typer.Typer(add_completion=False)
    if isinstance(found, typer.Typer):
        own.add_typer(found, name=name)
        group: Any = typer.main.get_command(own)
        return group.commands[name]  # type: ignore[no-any-return]
    own.command(name)(found)
    return typer.main.get_command(own)  # type: ignore[return-value]


class Commands(TyperGroup):
    """The group that knows the commands by their names and first lines."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = _Found()

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """For lists: what is listed is not called, and so not imported."""
        place = COMMANDS.get(cmd_name)
        return TyperCommand(cmd_name, help=place.about) if place else None

    def resolve_command(self, ctx: Any, args: list[str]) -> Any:
        name, command, rest = super().resolve_command(ctx, args)
        return name, self.commands[name] if command and name else None, rest
