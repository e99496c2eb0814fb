"""`magi alerts`: what is wrong now, as the rules say; and the rules themselves."""

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Struct

from magi.alerts.alert import Target
from magi.alerts.state_file import STALE_AFTER, AlertsState, evaluating, read_state
from magi.cli import logs
from magi.cli.alerts_report import as_json, not_yet_json, table
from magi.cli.context import Context, NotRunning, note_file, run_async
from magi.cli.metrics import known_targets
from magi.cli.options import Data, Json
from magi.cli.output import show
from magi.cli.setting_files import check_files
from magi.cli.until_stopped import until_stopped

LATE = 10.0
"""Seconds that the first evaluation may take, with its scrapes."""

app = typer.Typer(name="alerts", help="What is wrong now, as the rules say.", invoke_without_command=True)


@app.callback()
def alerts(ctx: typer.Context, data: Data = None, json: Json = False) -> None:
    """Show the alerts that fire or are pending. Exit code 1: one that is critical fires."""
    if ctx.invoked_subcommand:
        return
    context = Context.load(data)
    state = known(context)
    if state is None:
        wait = max(1.0, first_in(context))
        show(not_yet_json() if json else f"not evaluated yet: the first evaluation comes in {wait:.0f} s")
        return
    show(as_json(state) if json else table(state, time.time()))
    if any(alert.state == "firing" and alert.severity == "critical" for alert in state.alerts):
        raise typer.Exit(1)


def first_in(ctx: Context) -> float:
    """Seconds until the first evaluation of a `magi serve` that has just become ready; below 0: it is late."""
    try:
        ready_at = note_file(ctx.data).stat().st_mtime
    except OSError:
        return float("-inf")
    return ready_at + ctx.settings.alerts.every_seconds - time.time()


def known(ctx: Context) -> AlertsState | None:
    """The last evaluation; None when the first is still to come. Raises NotRunning when nobody evaluates."""
    state = read_state(ctx.data / "run")
    if state is not None and time.time() - state.at < STALE_AFTER and evaluating(state):
        return state
    if state is not None and not ctx.note:
        when = time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(state.at))
        raise NotRunning(
            f"nobody evaluates the alerts of {ctx.data} since {when}: start `magi serve` or `magi alerts watch`"
        )
    if not ctx.note:
        raise NotRunning(f"nobody evaluates alerts over {ctx.data}: start `magi serve` or `magi alerts watch`")
    if not ctx.settings.alerts.enabled or not ctx.settings.operations.enabled:
        raise NotRunning(
            "the `magi serve` that runs has alerts.enabled or operations.enabled off: it evaluates no rules"
        )
    if ctx.note and not ctx.note.url:
        raise NotRunning(f"the MAGI over {ctx.data} is still starting: its alerts are evaluated once it is ready")
    if first_in(ctx) > -LATE:
        return None
    raise NotRunning(
        f"there was no evaluation within the last {STALE_AFTER:.0f} s, though `magi serve` runs: its log says why"
    )


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="A file with rules, in Prometheus' format; none: MAGI's own.")
    ] = None,
) -> None:
    """Say whether rules can be evaluated without Prometheus, and which metrics in them MAGI doesn't have."""
    from magi.alerts.rules import FILE, load_rules  # here, and below: a tenth of a second, and who looks needs none
    from magi.telemetry.declarations import METRICS

    rules = load_rules(file or FILE)
    own = {metric.name + suffix for metric in METRICS for suffix in _suffixes(metric.kind)}
    known_names = own | rules.recorded | {"up"}
    asked = {selector.name for expression in rules.expressions for selector in expression.selectors}
    show(f"{len(rules.alerts)} alerts and {len(rules.recorded)} recording rules in {len(rules.groups)} groups: good")
    for name in sorted(asked - known_names):
        show(f"MAGI has no metric {name}: an alert on it never fires")


def _suffixes(kind: str) -> tuple[str, ...]:
    return ("_bucket", "_count", "_sum") if kind == "histogram" else ("",)


@app.command()
def rules() -> None:
    """Print MAGI's own rules: for Prometheus, or to make one's own of them."""
    from magi.alerts.rules import FILE

    show(FILE.read_text("utf-8").rstrip("\n"))


class _FileSd(Struct, frozen=True):
    targets: tuple[str, ...]
    labels: dict[str, str] = {}


def targets_in(file: Path) -> list[Target]:
    """Those of a file in the format of Prometheus' file_sd_configs. Raises RulesError."""
    from magi.alerts.rules import RulesError

    try:
        found = msgspec.json.decode(file.read_bytes(), type=tuple[_FileSd, ...])
    except OSError as error:
        raise RulesError(f"{file}: {error.strerror}") from None
    except msgspec.DecodeError as error:
        raise RulesError(f"{file}: not a list of targets as `magi metrics --targets` prints it: {error}") from None
    return [
        Target(group.labels.get("part", ""), address, group.labels.get("job", "magi"))
        for group in found
        for address in group.targets
    ]


@app.command()
def watch(
    data: Data = None,
    rules: Annotated[Path | None, typer.Option(help="A file with rules; none: those of the settings.")] = None,
    targets: Annotated[
        Path | None, typer.Option(help="A file with what to scrape, as `magi metrics --targets` prints it.")
    ] = None,
) -> None:
    """Evaluate the rules until Ctrl-C, for parts that run without `magi serve`, which does it by itself."""
    ctx = Context.load(data, {"alerts.rules": str(rules.absolute()) if rules else None})
    if ctx.note and ctx.settings.alerts.enabled and ctx.settings.operations.enabled:
        raise NotRunning(f"the `magi serve` that runs over {ctx.data} evaluates the rules already: see `magi alerts`")
    check_files(ctx, "alerts.")
    logs.configure(ctx.settings.log, "alerts")
    (ctx.data / "run").mkdir(parents=True, exist_ok=True)

    def found() -> list[Target]:
        if targets:
            return targets_in(targets)
        return [Target(target.part, target.address) for target in known_targets(ctx)]

    if not found():
        raise NotRunning("nothing to scrape: name it with --targets")
    from magi.cli.alerting import watch as watch_alerts

    run_async(until_stopped(watch_alerts(ctx, found)))
