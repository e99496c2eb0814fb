"""`magi submit`: one request from the command line, its events as they come, its verdict as the exit code.

Exit codes: 0 pass, 1 fail, 2 no verdict (an error), 130 interrupted.
"""

import os
import sys
import uuid
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, TypeVar

import typer
from rich.console import Console

from magi.cli import logs
from magi.cli.context import Context, run_async
from magi.cli.conversation import Conversation, End, Show
from magi.cli.options import Data, Json, TlsCa
from magi.cli.safe import printable_json, printable_line
from magi.cli.submit_client import find_gateway, follow
from magi.cli.submit_report import event_line
from magi.cli.submit_request import TIMEOUT_MS, parse_metadata, parse_voters, request_frame
from magi.cli.times import parse_strategy
from magi.cli.until_stopped import INTERRUPTED
from magi.domain.errors import InvalidMessage
from magi.domain.ids import check_name, check_request_id

T = TypeVar("T")
FAIL = 1


def submit(
    query: Annotated[str | None, typer.Option(help="The question that was asked.")] = None,
    query_file: Annotated[str | None, typer.Option(help="A file with the question; -: standard input.")] = None,
    answer: Annotated[str | None, typer.Option(help="The answer to be judged.")] = None,
    answer_file: Annotated[str | None, typer.Option(help="A file with the answer; -: standard input.")] = None,
    voters: Annotated[str | None, typer.Option(help="The panel: voters, separated by commas.")] = None,
    panel: Annotated[
        str | None, typer.Option(help="A panel by its name (`magi panels list`), instead of --voters.")
    ] = None,
    strategy: Annotated[
        str | None, typer.Option(help="A name, NAME:PARAMETER=VALUE,… such as threshold:k=2, or a JSON object.")
    ] = None,
    early: Annotated[bool, typer.Option("--early", help="Decide as soon as no outstanding vote matters.")] = False,
    timeout_ms: Annotated[
        int | None, typer.Option(min=1, help="How long the voters have.", show_default="30000")
    ] = None,
    request_id: Annotated[str | None, typer.Option(help="The request's name.", show_default="a new UUID")] = None,
    metadata: Annotated[str | None, typer.Option(help="A JSON object to be kept with the request.")] = None,
    json: Json = False,
    url: Annotated[
        str | None, typer.Option(help="The gateway.", envvar="MAGI_URL", show_default="that of `magi serve`")
    ] = None,
    token: Annotated[
        str | None, typer.Option(help="Your token.", envvar="MAGI_TOKEN", show_default="this machine's own")
    ] = None,
    tls_ca: TlsCa = None,
    data: Data = None,
) -> None:
    """Submit an answer to be judged, and watch. Exits 0 for pass, 1 for fail, 2 for an error."""
    if query_file == answer_file == "-":
        raise typer.BadParameter("only one of --query-file and --answer-file can be standard input")
    if panel is not None:
        _option("--panel", lambda text: check_name(text, "panel"), panel)
    if voters is not None and panel is not None:
        raise typer.BadParameter("expected either --voters or --panel, not both")
    name = str(uuid.uuid4()) if request_id is None else request_id
    request = request_frame(
        _option("--request-id", check_request_id, name) or name,
        _text("query", query, query_file),
        _text("answer", answer, answer_file),
        voters=_option("--voters", parse_voters, voters) or (),
        strategy=_option("--strategy", parse_strategy, strategy),
        decide="early" if early else None,
        timeout_ms=timeout_ms,
        metadata=_option("--metadata", parse_metadata, metadata),
        panel=panel,
    )
    ctx = Context.load(data, {"gateway.tls_ca": tls_ca})
    logs.configure_command(ctx.settings.log)
    output = Output() if not json else JsonOutput()
    work = follow(
        Conversation(name, request),
        lambda: find_gateway(ctx.data, url, token, ctx.settings.gateway.tls_ca),
        output.show,
        output.tell,
        (TIMEOUT_MS if timeout_ms is None else timeout_ms) / 1000,
    )
    try:
        verdict = run_async(work)
    except KeyboardInterrupt:
        output.tell(f"interrupted; request {name} is judged all the same")
        raise typer.Exit(INTERRUPTED) from None
    raise typer.Exit(0 if verdict.final_vote == "pass" else FAIL)


def _option(name: str, parse: Callable[[str], T], text: str | None) -> T | None:
    """What an option says, None when it isn't given. Raises BadParameter, naming it."""
    if text is None:
        return None
    try:
        return parse(text)
    except (ValueError, InvalidMessage) as error:
        raise typer.BadParameter(f"{name}: {error}") from None


def _text(name: str, given: str | None, file: str | None) -> str:
    """The query or the answer: given, or read from a file or standard input. Raises BadParameter."""
    if (given is None) == (file is None):
        raise typer.BadParameter(f"expected exactly one of --{name} and --{name}-file")
    try:
        if file is None:
            (given or "").encode()  # what came as bytes that are no UTF-8 can't be sent
            return given or ""
        content = sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
        return content.decode()
    except UnicodeError:
        raise typer.BadParameter(f"the {name} is no UTF-8 text") from None
    except OSError as error:
        raise typer.BadParameter(f"--{name}-file {file}: {error.strerror}") from None


class _Console(Console):
    """rich's console, but for what it does when its reader has gone: it would exit with 1, which says `fail` here."""

    def on_broken_pipe(self) -> None:
        _to_nobody()


def _to_nobody() -> None:
    """Nobody reads our output any more; the exit code may be awaited all the same."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Output:
    """For people: a line an event, at once."""

    def __init__(self) -> None:
        self._console = _Console(highlight=False, soft_wrap=True)

    def show(self, step: Show | End) -> None:
        if isinstance(step, Show) and step.event:
            self._console.print(event_line(step.event))
            self._console.file.flush()

    def tell(self, what: str) -> None:
        """Something about the way it goes, beside the events."""
        sys.stderr.write(f"magi: {printable_line(what)}\n")


class JsonOutput(Output):
    """For programs: each event as it came, one a line, at once; an error that ends it, too."""

    def show(self, step: Show | End) -> None:
        # On a terminal the same JSON, written so that it can't steer it.
        frame = printable_json(step.frame) if sys.stdout.isatty() else step.frame
        try:
            sys.stdout.buffer.write(frame.encode() + b"\n")
            sys.stdout.buffer.flush()
        except BrokenPipeError:
            _to_nobody()
