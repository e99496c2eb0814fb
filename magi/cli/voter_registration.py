"""`magi voters add` and `magi voters change`. Secrets are printed once, as the last word on stdout."""

import os
import sys
from pathlib import Path
from typing import Annotated, Any, get_args

import typer

from magi.cli.administration import changing_directory
from magi.cli.context import Context, run_async
from magi.cli.directory import operator
from magi.cli.options import Data
from magi.cli.output import show
from magi.cli.voter_access import introduce
from magi.cli.voter_secrets import ensure_secret, keep_token, secret_file
from magi.cli.voter_settings import KindOptions, checked, settings_of
from magi.domain import voter_commands as voters
from magi.domain.errors import UnknownVoter
from magi.domain.ids import VoterId, check_name, voter_aggregate
from magi.domain.tokens import ENTROPY, new_token, token_hash, token_id
from magi.domain.voter import CAPACITY, INITIAL, MAX_ATTEMPTS, Voter, VoterEvent, VoterKind, evolve
from magi.embedded import nkey
from magi.eventstore.bus import BusError
from magi.eventstore.consumers import ensure_task_consumer
from magi.eventstore.directory import DirectoryLog, change_voter
from magi.eventstore.presence import now_ms
from magi.voters.builtin import BUILTIN

KINDS: tuple[VoterKind, ...] = get_args(VoterKind)
WITH_TOKEN: frozenset[VoterKind] = frozenset({"websocket", "person"})
"""They come to the gateway, and prove who they are by a token."""

Id = Annotated[str, typer.Argument(help="The voter: a-z, 0-9, _ and -.")]
Reason = Annotated[str, typer.Option(help="Why; it is kept with the event.")]
Description = Annotated[str | None, typer.Option(help="What it judges, for whoever chooses a panel.")]
Group = Annotated[str | None, typer.Option(help="The group it belongs to: panels are chosen from groups.")]
Weight = Annotated[float | None, typer.Option(help="What its vote counts under the strategy `weighted`.")]
Capacity = Annotated[int | None, typer.Option(help="The most tasks that one instance has open.")]
MaxAttempts = Annotated[int | None, typer.Option(help="How often a task is given to it, after failures.")]
Url = Annotated[str | None, typer.Option(help="http: where tasks are posted.")]
AllowPrivate = Annotated[
    bool | None,
    typer.Option(
        "--allow-private/--no-allow-private", help="http, llm: may be on this machine or in a private network."
    ),
]
SecretVariable = Annotated[
    str | None, typer.Option(help="http: the environment variable with the secret, instead of a file that is made.")
]
Model = Annotated[str | None, typer.Option(help="llm: the model's name.")]
BaseUrl = Annotated[str | None, typer.Option(help="llm: what /chat/completions is appended to.")]
Rubric = Annotated[str | None, typer.Option(help="llm: what a good answer is; the text, or @FILE.")]
Temperature = Annotated[float | None, typer.Option(help="llm: 0 to 2.", show_default="0")]
KeyVariable = Annotated[str | None, typer.Option(help="llm: the environment variable with the API key.")]
Timeout = Annotated[float | None, typer.Option(help="http, llm, command: seconds for one try.")]
Command = Annotated[str | None, typer.Option(help="command: the program and its arguments, as one would type them.")]
Env = Annotated[
    list[str] | None, typer.Option(help="command: a variable that the program gets, if it is set; repeatable.")
]


def _kind(text: str) -> VoterKind:
    """Raises BadParameter."""
    for kind in KINDS:
        if kind == text:
            return kind
    raise typer.BadParameter(f"expected one of {', '.join(KINDS)}, got {text!r}")


def add(
    voter: Id,
    kind: Annotated[
        str,
        typer.Option(
            help="builtin: it runs in MAGI. nats: a program of yours on the bus. websocket: one that connects to the "
            "gateway. http: a service that tasks are posted to. llm: a language model. command: an executable. "
            "person: somebody at a terminal (`magi vote`)."
        ),
    ],
    description: Description = None,
    group: Group = None,
    weight: Weight = None,
    capacity: Capacity = None,
    max_attempts: MaxAttempts = None,
    url: Url = None,
    allow_private: AllowPrivate = None,
    secret_variable: SecretVariable = None,
    model: Model = None,
    base_url: BaseUrl = None,
    rubric: Rubric = None,
    temperature: Temperature = None,
    key_variable: KeyVariable = None,
    timeout: Timeout = None,
    command: Command = None,
    env: Env = None,
    data: Data = None,
) -> None:
    """Register a voter. A seed, token or secret that it gets is the last word on stdout, shown this once."""
    name = VoterId(check_name(voter, "voter"))
    which = _kind(kind)
    ctx = Context.load(data)
    options = KindOptions(
        url=url,
        allow_private=allow_private,
        secret_variable=secret_variable,
        model=model,
        base_url=base_url,
        rubric=rubric,
        temperature=temperature,
        key_variable=key_variable,
        timeout=timeout,
        command=command,
        env=env,
    )
    settings = settings_of(which, options)
    file = secret_file(ctx.data, name) if which == "http" and secret_variable is None else None
    if file:
        settings["secret_file"] = str(file)
    known = BUILTIN.get(name) if which == "builtin" else None
    public, seed = nkey.generate() if which == "nats" else ("", "")
    registers = voters.Register(
        name,
        which,
        description or (known.description if known else ""),
        check_name(ctx.settings.orchestrator.default_group if group is None else group, "group"),
        public,
        operator(),
        now_ms(),
        weight=1.0 if weight is None else weight,
        capacity=CAPACITY if capacity is None else capacity,
        max_attempts=MAX_ATTEMPTS if max_attempts is None else max_attempts,
        settings=checked(which, settings),
    )
    secret = run_async(_register(ctx, registers, file))
    show(f"Voter {name} is registered.")
    match which:
        case "nats":
            introduce(ctx, name, public, seed)
        case "websocket":
            show_token(name, secret)
        case "person":
            keep_token(ctx.data, name, secret)
            show(f"On this machine `magi vote --as {name}` is all that it takes.")
            show_token(name, secret)
        case "http" if file:
            show(f"What is posted to it is signed with the secret in {file}, which it checks signatures with:")
            show(secret)
        case "builtin":
            target = name if known else f"{name}=MODULE:FUNCTION"
            show(f"Run it with `magi voter {target}`, as often as you like; `magi serve` runs those that MAGI brings.")
        case _:
            show("`magi serve` runs it from now on; elsewhere `magi voter --all` does.")


async def _register(ctx: Context, command: voters.Register, secret: Path | None) -> str:
    """Register a voter, with a token or a secret if it needs one. Returns that. Raises Refused, SettingsError …"""
    name = VoterId(command.voter_id)
    async with changing_directory(ctx) as store:
        if secret:
            # Refused before a file is made, which then belongs to whoever has the name.
            voters.decide(await _state(store, name), command)
        made = ensure_secret(secret) if secret else ""
        await change_voter(store, command)
        try:
            await ensure_task_consumer(store.bus, name)
        except BusError as error:
            # The voter is registered, and its secret must not be lost for this: the orchestrators make it as well.
            sys.stderr.write(f"magi: its task consumer is not there yet: {error}\n")
        return await issue_token(store, name) if command.kind in WITH_TOKEN else made


async def _state(store: DirectoryLog, name: VoterId) -> Voter:
    state = INITIAL
    for recorded in await store.load(voter_aggregate(name)):
        assert isinstance(recorded.event, VoterEvent)
        state = evolve(state, recorded.event)
    return state


async def issue_token(store: DirectoryLog, voter: str) -> str:
    """A new token of a voter; nobody can read it again. Raises Conflict, UnknownVoter, StoreError."""
    return await add_token(store, voters.IssueToken(voter, "", operator(), now_ms()))


async def add_token(store: DirectoryLog, command: voters.IssueToken | voters.RotateTokens) -> str:
    """Carry out a command whose hash is that of a token made here, which is returned. Raises as `issue_token`."""
    token = new_token("v", os.urandom(ENTROPY))
    await change_voter(store, command._replace(sha256=token_hash(token)))
    return token


def show_token(voter: str, token: str) -> None:
    show(f"The token {token_id(token_hash(token))} of {voter}, which nobody can show again (MAGI_VOTER_TOKEN):")
    show(token)


def change(
    voter: Id,
    description: Description = None,
    group: Group = None,
    weight: Weight = None,
    capacity: Capacity = None,
    max_attempts: MaxAttempts = None,
    url: Url = None,
    allow_private: AllowPrivate = None,
    secret_variable: SecretVariable = None,
    model: Model = None,
    base_url: BaseUrl = None,
    rubric: Rubric = None,
    temperature: Temperature = None,
    key_variable: KeyVariable = None,
    timeout: Timeout = None,
    command: Command = None,
    env: Env = None,
    reason: Reason = "",
    data: Data = None,
) -> None:
    """Change what a voter is registered with. What isn't named stays; requests under way keep what they began with."""
    options = KindOptions(
        url=url,
        allow_private=allow_private,
        secret_variable=secret_variable,
        model=model,
        base_url=base_url,
        rubric=rubric,
        temperature=temperature,
        key_variable=key_variable,
        timeout=timeout,
        command=command,
        env=env,
    )
    fields = {
        "description": description,
        "group": group,
        "weight": weight,
        "capacity": capacity,
        "max_attempts": max_attempts,
    }
    if not options.given() and all(value is None for value in fields.values()):
        raise typer.BadParameter("expected something to change, such as --group")
    changed = run_async(_change(Context.load(data), voter, fields, options, reason))
    show(f"Voter {voter} is changed." if changed else f"Voter {voter} is as it was: there is nothing to change.")


async def _change(ctx: Context, voter: str, fields: dict[str, Any], options: KindOptions, reason: str) -> bool:
    async with changing_directory(ctx) as store:
        settings = None
        if options.given():
            known = await _state(store, VoterId(check_name(voter, "voter")))
            if not known.version:
                raise UnknownVoter(f"no voter named {voter[:80]!r} is registered")
            settings = checked(known.kind, settings_of(known.kind, options, known.settings))
        command = voters.Change(voter, operator(), now_ms(), reason, settings=settings, **fields)
        return bool(await change_voter(store, command))
