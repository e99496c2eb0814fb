"""`magi alerts`: what is wrong now, as the rules say; and the rules themselves."""

import time
from pathlib import Path
from typing import Annotated

import msgspec
import typer
from msgspec import Struct

from magi.alerts.alert import Target
from magi.alerts.rules import FILE, RulesError, load_rules
from magi.alerts.state_file import STALE_AFTER, AlertsState, evaluating, read_state
from magi.cli import logs
from magi.cli.alerting import watch as watch_alerts
from magi.cli.alerts_report import as_json, table
from magi.cli.context import Context, NotRunning, run_async
from magi.cli.metrics import known_targets
from magi.cli.options import Data, Json
from magi.cli.output import show
from magi.cli.serve import until_stopped

app = typer.Typer(name="alerts", help="What is wrong now, as the rules say.", invoke_without_command=True)


@app.callback()
def alerts(ctx: typer.Context, data: Data = None, json: Json = False) -> None:
    """Show the alerts that fire or are pending. Exit code 1: one that is critical fires."""
    if ctx.invoked_subcommand:
        return
    state = known(Context.load(data))
    show(as_json(state) if json else table(state, time.time()))
    if any(alert.state == "firing" and alert.severity == "critical" for alert in state.alerts):
        raise typer.Exit(1)


def known(ctx: Context) -> AlertsState:
    """The last evaluation. Raises NotRunning when nobody evaluates."""
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
    raise NotRunning(
        f"there is no evaluation yet, or none within {STALE_AFTER:.0f} s: the first comes"
        f" {ctx.settings.alerts.every_seconds:.0f} s after the start of `magi serve`; later than that its log says why"
    )


@app.command()
def check(
    file: Annotated[
        Path | None, typer.Argument(help="A file with rules, in Prometheus' format; none: MAGI's own.")
    ] = None,
) -> None:
    """Say whether rules can be evaluated without Prometheus, and which metrics in them MAGI doesn't have."""
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
    show(FILE.read_text("utf-8").rstrip("\n"))


class _FileSd(Struct, frozen=True):
    targets: tuple[str, ...]
    labels: dict[str, str] = {}


def targets_in(file: Path) -> list[Target]:
    """Those of a file in the format of Prometheus' file_sd_configs. Raises RulesError."""
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
    logs.configure(ctx.settings.log, "alerts")
    (ctx.data / "run").mkdir(parents=True, exist_ok=True)

    def found() -> list[Target]:
        if targets:
            return targets_in(targets)
        return [Target(target.part, target.address) for target in known_targets(ctx)]

    if not found():
        raise NotRunning("nothing to scrape: name it with --targets")
    run_async(until_stopped(watch_alerts(ctx, found)))
