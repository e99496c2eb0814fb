"""What `magi voters add` and `change` are told about a voter's kind, as the settings that its registration carries."""

import os
import re
import shlex
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import typer
from msgspec import Struct

from magi.domain.voter import VoterKind


class KindOptions(Struct, frozen=True, kw_only=True):
    """The options that only some kinds know; None: not given."""

    url: str | None = None
    allow_private: bool | None = None
    secret_variable: str | None = None
    model: str | None = None
    base_url: str | None = None
    rubric: str | None = None
    """The text itself, or ``@FILE``."""
    temperature: float | None = None
    key_variable: str | None = None
    timeout: float | None = None
    """Seconds."""
    command: str | None = None
    """As one would type it."""
    env: Sequence[str] | None = None

    def given(self) -> dict[str, Any]:
        """The options that were given, by name."""
        return {name: value for name, value in msgspec.structs.asdict(self).items() if value is not None}


KNOWN: Mapping[VoterKind, frozenset[str]] = {
    "http": frozenset({"url", "allow_private", "secret_variable", "timeout"}),
    "llm": frozenset({"model", "base_url", "rubric", "temperature", "key_variable", "timeout", "allow_private"}),
    "command": frozenset({"command", "timeout", "env"}),
}
NEEDED: Mapping[VoterKind, tuple[str, ...]] = {
    "http": ("url",),
    "llm": ("model", "base_url", "rubric"),
    "command": ("command",),
}

_FIELDS = {"timeout": "timeout_seconds", "command": "argv"}
"""Settings that are called otherwise than their option."""
_PLACE = re.compile(r"^(.*) - at `\$\.(\w+)(?:\[.*)?`$", re.DOTALL)
_NAMED = re.compile(r"^(\w+): (.*)$", re.DOTALL)


def settings_of(kind: VoterKind, options: KindOptions, before: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """The settings of a voter of this kind: those from `before` (None: it is new), with what the options change.

    Raises BadParameter, naming the option, for one that the kind doesn't know, that is missing, or whose value can't
    be. A new http voter without `secret_variable` lacks its secret still: see `checked`.
    """
    given = options.given()
    known = KNOWN.get(kind, frozenset())
    for name in given:
        if name not in known:
            kinds = " and ".join(kind for kind, names in KNOWN.items() if name in names)
            raise typer.BadParameter(f"{option(name)} is for voters of the kind {kinds}, and not for {kind}")
    if before is None:
        missing = [option(name) for name in NEEDED.get(kind, ()) if name not in given]
        if missing:
            raise typer.BadParameter(f"a voter of the kind {kind} needs {', '.join(missing)}")
    if "command" in given:
        given["command"] = command_line(given["command"])
    if "rubric" in given:
        given["rubric"] = rubric_text(given["rubric"])
    if "env" in given:
        given["env"] = list(given["env"])
    if "secret_variable" in given:
        given["secret_file"] = ""
    return {**(before or {}), **{_FIELDS.get(name, name): value for name, value in given.items()}}


def checked(kind: VoterKind, settings: dict[str, Any]) -> dict[str, Any]:
    """The settings, when a voter of that kind can be made of them. Raises BadParameter, naming the option."""
    from magi.voters.kind_settings import BadSettings, read_settings  # what the kinds need takes half a second

    try:
        match kind:
            case "http":
                from magi.voters.http_settings import HttpSettings

                read_settings(settings, HttpSettings)
            case "llm":
                from magi.voters.llm.settings import LlmSettings, read_rubric

                read_rubric(read_settings(settings, LlmSettings))
            case "command":
                from magi.voters.command import CommandSettings

                read_settings(settings, CommandSettings)
    except BadSettings as error:
        raise typer.BadParameter(_by_option(str(error))) from None
    return settings


def option(name: str) -> str:
    """``timeout_seconds`` or ``timeout`` is ``--timeout``."""
    by_field = {field: name for name, field in _FIELDS.items()}
    return f"--{by_field.get(name, name).replace('_', '-')}"


def _by_option(complaint: str) -> str:
    """What is wrong with a setting, as what is wrong with its option."""
    complaint = complaint.removeprefix("settings: ")
    if complaint.endswith(("loopback addresses may not be called", "private addresses may not be called")):
        complaint += " without --allow-private"
    if found := _PLACE.match(complaint):
        return f"{option(found[2])}: {found[1]}"
    if found := _NAMED.match(complaint):
        return f"{option(found[1])}: {found[2]}"
    return complaint


def rubric_text(given: str) -> str:
    """The rubric: as it was given, or the text of the file behind the `@`. Raises BadParameter.

    The text is registered, and not the file's name: the directory tells by what a model judged, and since when.
    """
    if not given.startswith("@"):
        return given
    try:
        return Path(given[1:]).read_text("utf-8")
    except OSError as error:
        raise typer.BadParameter(f"--rubric: {given[1:]}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise typer.BadParameter(f"--rubric: {given[1:]}: not UTF-8 text") from None


def command_line(text: str) -> list[str]:
    """A command's words, its program by the absolute path: MAGI may be started elsewhere. Raises BadParameter."""
    try:
        words = shlex.split(text)
    except ValueError as error:
        raise typer.BadParameter(f"--command: {error}") from None
    if not words:
        raise typer.BadParameter("--command: expected a program")
    program = words[0]
    path = shutil.which(program) if "/" not in program else program
    if path is None:
        raise typer.BadParameter(f"--command: there is no {program!r} in PATH")
    file = Path(path).absolute()
    if not file.is_file():
        raise typer.BadParameter(f"--command: {file}: no such file")
    if not os.access(file, os.X_OK):
        raise typer.BadParameter(f"--command: {file} can't be executed: `chmod +x` it")
    return [str(file), *words[1:]]
