"""`magi vote`: a person judges, one task at a time, at the terminal."""

import asyncio
import re
from typing import Annotated

import typer
from rich.console import Console

from magi.cli import logs
from magi.cli.context import Context, NotRunning, read_note, run_async
from magi.cli.keyboard import EndOfInput, Keyboard
from magi.cli.options import Data, TlsCa
from magi.cli.safe import printable_line
from magi.cli.submit_client import Address, StillStarting, SubmitFailed
from magi.cli.until_stopped import until_stopped
from magi.cli.vote_client import Desk
from magi.cli.vote_report import QUESTION, REASON, choice, task_lines
from magi.cli.voter_secrets import token_file
from magi.domain.ids import check_name
from magi.domain.messages import Opinion, Task
from magi.embedded.datadir import holder

VARIABLE = "MAGI_VOTER_TOKEN"
_TOKEN = re.compile(r"[\x21-\x7e]+\Z")


def vote(
    voter: Annotated[str, typer.Option("--as", help="The voter that you are: registered with the kind person.")],
    url: Annotated[
        str | None, typer.Option(help="The gateway.", envvar="MAGI_URL", show_default="that of `magi serve`")
    ] = None,
    token: Annotated[
        str | None,
        typer.Option(help="The voter's token.", envvar=VARIABLE, show_default="that which is kept on this machine"),
    ] = None,
    tls_ca: TlsCa = None,
    data: Data = None,
) -> None:
    """Judge by hand: shows the next task, takes pass, fail or abstain and a reason. Ctrl-C gives back what is open."""
    ctx = Context.load(data, {"gateway.tls_ca": tls_ca})
    logs.configure_command(ctx.settings.log)
    name = check_name(voter, "--as")
    console = Console(highlight=False, markup=False, soft_wrap=True)

    def tell(what: str) -> None:
        console.print(f"  {printable_line(what)}", style="dim")

    _address(ctx, name, url, token)  # before anything is said: there may be no gateway, or no token

    async def work() -> None:
        keyboard = Keyboard()
        desk = Desk(name, lambda: _address(ctx, name, url, token), lambda task: _ask(console, keyboard, task), tell)
        tell(f"waiting for tasks as {name} (Ctrl-C to leave)")
        working, ended = asyncio.ensure_future(desk.work()), asyncio.ensure_future(keyboard.ended())
        try:
            await asyncio.wait([working, ended], return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                working.result()
        except EndOfInput:
            pass
        finally:
            working.cancel()
            ended.cancel()
            await asyncio.gather(working, ended, return_exceptions=True)
            console.print(f"{desk.voted} judged.")

    run_async(until_stopped(work()))


def _address(ctx: Context, voter: str, url: str | None, token: str | None) -> Address:
    """Raises NotRunning, SubmitFailed."""
    data = ctx.data
    note = read_note(data)
    if not url and not (note and note.url) and holder(data):
        raise StillStarting(
            f"the MAGI over {data} is not ready: it is being started, or stopped; try again in a moment"
        )
    if not url and note is None:
        raise NotRunning(f"no MAGI is running over {data}: start one with `magi serve`, or name a gateway with --url")
    if not token:
        try:
            token = token_file(data, voter).read_text().strip()
        except OSError:
            raise SubmitFailed(
                f"{voter} wants a token: --token or {VARIABLE} (`magi voters token {voter}` makes one)"
            ) from None
    if not _TOKEN.match(token):
        raise SubmitFailed("the token is none: it holds blanks, or characters that no token has")
    return Address(url or (note.url if note else ""), token, ctx.settings.gateway.tls_ca)


async def _ask(console: Console, keyboard: Keyboard, task: Task) -> Opinion:
    """Show a task and take the person's vote. Raises EndOfInput when there is nobody any more."""
    keyboard.forget()  # what was typed for the task before isn't meant for this one
    for line in task_lines(task):
        console.print(line)
    while True:
        console.print(QUESTION, end="")
        given = choice(await keyboard.line())
        if given is not None:
            break
        console.print("  one of p, f and a", style="dim")
    console.print(REASON, end="")
    reason = (await keyboard.line()).strip()
    return Opinion(given, reason or None)
