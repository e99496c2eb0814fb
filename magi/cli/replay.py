"""`magi replay`: decide again what was decided, and what another rule would have said.

Exit codes: 0 the same verdicts, 1 a recorded verdict does not follow again or an event can't be read, 2 it could not be
found out.
"""

import contextlib
import csv
from collections.abc import Callable, Iterator
from itertools import pairwise
from pathlib import Path
from typing import Annotated

import msgspec
import typer

from magi.audit.events import raw_events
from magi.audit.labels import BadLabels, Labels, read_labels
from magi.audit.replay import Decided, Replay, Replayed, replay_log, step_by_step
from magi.audit.what_if import Alternative
from magi.cli.context import Context, run_async
from magi.cli.histories import load_history, open_log, readable
from magi.cli.history import Initiator
from magi.cli.history_report import Unreadable
from magi.cli.local_token import LOCAL
from magi.cli.options import Data, Json
from magi.cli.replay_all_report import CSV_COLUMNS, csv_row, report_of, show_report
from magi.cli.replay_report import one_replay, open_replay, show_open, show_outcome, show_steps, step_of
from magi.cli.selecting import Since, Until, time_of
from magi.cli.terminal import progress, reporting, write, write_json
from magi.cli.times import parse_strategy
from magi.domain.clock import milliseconds
from magi.domain.voting_request import INITIAL, Received, RequestEvent
from magi.eventstore.history import CorruptHistory

DIFFERENT = 1
FAILED = 2


def replay(
    request_id: Annotated[str | None, typer.Argument(metavar="[REQUEST_ID]", help="One request, step by step.")] = None,
    every: Annotated[bool, typer.Option("--all", help="Every request of the log.")] = False,
    initiator: Initiator = LOCAL,
    since: Since = None,
    until: Until = None,
    strategy: Annotated[
        str | None, typer.Option(help="What if: veto, threshold:k=2, or JSON as in a request.", metavar="STRATEGY")
    ] = None,
    labels: Annotated[
        Path | None,
        typer.Option(help="CSV of request_id[,initiator],label: what the verdicts should be, pass or fail."),
    ] = None,
    data: Data = None,
    json: Json = False,
    table: Annotated[Path | None, typer.Option("--csv", help="Write every replayed request there.")] = None,
) -> None:
    """Decide again, by the recorded rules; with --strategy also by another."""
    if (request_id is None) == (not every):
        raise typer.BadParameter("expected either a REQUEST_ID or --all")
    if request_id is not None and (since or until or labels or table):
        raise typer.BadParameter("--since, --until, --labels and --csv go with --all")
    alternative = _alternative(strategy)
    ctx = Context.load(data)
    if request_id is not None:
        code = run_async(_replay_one(ctx, request_id, initiator, alternative, _print_json if json else None))
    else:
        first, last = time_of("--since", since), time_of("--until", until)
        wanted = _received_between(first, last)
        run = Replay(alternative, _labels(labels), wanted)
        with _csv(table) as on_replayed:
            run_async(_replay_all(ctx, run, first, on_replayed))
        report = report_of(run, strategy or "")
        with reporting():
            if json:
                _print_json(report)
            else:
                write(*show_report(report))
        code = DIFFERENT if run.different or run.unreadable else FAILED if run.problems else 0
    raise typer.Exit(code)


def _alternative(strategy: str | None) -> Alternative | None:
    if strategy is None:
        return None
    try:
        return Alternative(parse_strategy(strategy))
    except ValueError as error:
        raise typer.BadParameter(str(error)) from error


def _received_between(since: int | None, until: int | None) -> Callable[[Received], bool]:
    def wanted(received: Received) -> bool:
        at = milliseconds(received.at)
        return (since is None or at >= since) and (until is None or at < until)

    return wanted


def _labels(file: Path | None) -> Labels | None:
    if file is None:
        return None
    try:
        with file.open(encoding="utf-8-sig", newline="") as lines:
            return read_labels(lines)
    except (OSError, UnicodeDecodeError) as error:
        raise BadLabels(f"{file}: can't be read: {error}") from error
    except BadLabels as error:
        raise BadLabels(f"{file}: {error}") from error


@contextlib.contextmanager
def _csv(file: Path | None) -> Iterator[Callable[[Replayed], None]]:
    """What takes each replayed request: a CSV file, or nothing."""
    if file is None:
        yield lambda _: None
        return
    try:
        opened = file.open("w", encoding="utf-8", newline="")
    except OSError as error:
        raise typer.BadParameter(f"--csv: {file}: {error.strerror}") from error
    with opened as lines:
        rows = csv.writer(lines)
        rows.writerow(CSV_COLUMNS)

        def take(one: Replayed) -> None:
            rows.writerow(csv_row(one))

        yield take


async def _replay_all(ctx: Context, run: Replay, since: int | None, on_replayed: Callable[[Replayed], None]) -> None:
    async with ctx.bus("auditor") as bus:
        source = await open_log(bus)
        start = 1 if since is None else await source.sequence_at(since)
        with progress("replaying", await source.last_sequence() - start + 1) as advance:
            await replay_log(source, run, start, on_read=advance, on_replayed=on_replayed)


async def _replay_one(
    ctx: Context,
    request_id: str,
    initiator: str,
    alternative: Alternative | None,
    print_json: Callable[[msgspec.Struct], None] | None,
) -> int:
    async with ctx.bus("auditor") as bus:
        messages = await load_history(await open_log(bus), request_id, initiator)
    events: list[RequestEvent] = []
    for event in readable(raw_events(messages)):
        if isinstance(event, Unreadable):
            raise CorruptHistory(f"version {event.version}: {event.problem}")
        events.append(event)
    steps = list(step_by_step(events))
    shown = [step_of(event, state) for event, state in steps]
    state = steps[-1][1]
    if state.received is None:
        raise CorruptHistory("the history has no reception: `magi audit verify` says what is wrong with it")
    with reporting():
        if state.verdict is None:
            if print_json:
                print_json(open_replay(shown, state.received))
            else:
                write(*show_steps(shown), "", show_open(state))
            return 0
        before = next((before for (_, before), (_, after) in pairwise(steps) if after.verdict), INITIAL)
        if before.received is None:
            raise CorruptHistory("the verdict comes before the reception: `magi audit verify` says what is wrong")
        replayed = Replay(alternative).replay(Decided(before, state.verdict))
        if print_json:
            print_json(one_replay(shown, replayed))
        else:
            write(*show_steps(shown), "", *show_outcome(replayed, replayed.rule if alternative else None))
    if replayed.differences:
        return DIFFERENT
    return FAILED if replayed.problem else 0


def _print_json(report: msgspec.Struct) -> None:
    write_json(msgspec.json.format(msgspec.json.encode(report), indent=2).decode())
