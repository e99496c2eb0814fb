"""`magi metrics`: what the running parts expose, all together or one of them, in Prometheus' text format."""

import asyncio
from typing import Annotated

import typer

from magi.cli.context import Context, NotRunning, run_async
from magi.cli.http_get import CannotGet, get
from magi.cli.options import Data
from magi.cli.output import show
from magi.cli.scrape import Target, address, as_file_sd, find_targets
from magi.telemetry.merge import merged
from magi.telemetry.metric import EVERY_PART


def metrics(
    data: Data = None,
    part: Annotated[str | None, typer.Option(help="Only this part: orchestrator, gateway, voters, projector.")] = None,
    targets: Annotated[bool, typer.Option("--targets", help="Print where Prometheus finds them, for file_sd.")] = False,
) -> None:
    """Print the metrics of the parts that run, each sample with its part."""
    if part is not None and part not in EVERY_PART:
        raise typer.BadParameter(f"expected one of {', '.join(EVERY_PART)}", param_hint="--part")
    ctx = Context.load(data)
    found = [target for target in known_targets(ctx) if part in (None, target.part)]
    if not found:
        raise NotRunning(
            f"nothing over {ctx.data} shows metrics{f' of the part {part}' if part else ''}: is `magi serve` running,"
            " and operations.enabled? A part of its own shows them on operations.port, if that is set"
        )
    show((as_file_sd(found).decode() if targets else run_async(exposed(found))).rstrip("\n"))


def known_targets(ctx: Context) -> list[Target]:
    """Of the running `magi serve`, else where the settings say that a part alone listens."""
    settings = ctx.settings.operations
    if ctx.note:
        return find_targets(ctx.data / "run", settings.host)
    return [Target("", address(settings.host, settings.port))] if settings.port else []


async def exposed(targets: list[Target]) -> str:
    """What the targets tell, as one text. Raises NotRunning when one doesn't answer."""
    try:
        answers = await asyncio.gather(*(get(f"http://{target.address}/metrics") for target in targets))
    except CannotGet as error:
        raise NotRunning(f"a part doesn't tell its metrics: {error}") from error
    return merged({target.part: body.decode() for target, (_, body) in zip(targets, answers, strict=True)})
