"""How `magi replay --all` shows what came out: counts, changed requests, errors against labels, votes needed. Pure."""

from collections import Counter
from collections.abc import Mapping, Sequence

from msgspec import Struct
from rich.text import Text

from magi.audit.labels import Errors
from magi.audit.replay import Replay, Replayed
from magi.cli.directory_report import columns
from magi.cli.safe import printable_line

SHOWN = 25
"""Changed requests that are shown to people; the CSV has all."""
CSV_COLUMNS = (
    "initiator_id",
    "request_id",
    "received_at",
    "strategy",
    "panel",
    "votes",
    "recorded",
    "recorded_reason",
    "again",
    "again_reason",
    "changed",
    "votes_needed",
    "label",
    "differences",
)


class ErrorRates(Struct, frozen=True):
    labelled_pass: int
    labelled_fail: int
    false_accepts: int
    false_accept_rate: float | None
    false_rejects: int
    false_reject_rate: float | None


class Change(Struct, frozen=True):
    """A request whose verdict comes out differently."""

    initiator_id: str
    request_id: str
    recorded: str
    recorded_reason: str
    again: str
    again_reason: str
    differences: tuple[str, ...]
    """From the recorded verdict, by the recorded rule: never any in a log that is sound."""


class ReplayReport(Struct, frozen=True):
    """What came of replaying a log, for programs."""

    events: int
    requests: int
    """That have a verdict."""
    open: int
    unreadable: int
    """Events that can't be read: `magi audit verify` says which."""
    different: int
    """Requests whose recorded verdict does not follow again."""
    problems: dict[str, int]
    """Why some could not be decided again by their own rule, and how many."""
    inapplicable: dict[str, int]
    """Why the rule of the what-if could not be applied to some, and how many."""
    strategy: str
    """Of the what-if; empty without one."""
    recorded: dict[str, int]
    again: dict[str, int]
    changed: int
    changes: list[Change]
    """The first of them."""
    votes_cast: int
    votes_needed: int
    """Of the requests whose verdict was certain before the deadline: how few of their votes would have been enough."""
    certain_early: int
    """Requests whose verdict was certain before the last vote that came."""
    at_deadline: int
    """Requests whose verdict took the deadline."""
    votes_needed_by_request: dict[str, int]
    labels: ErrorRates | None
    labels_again: ErrorRates | None


def report_of(replay: Replay, strategy: str) -> ReplayReport:
    needed = {str(votes): n for votes, n in sorted(replay.needed.items()) if votes >= 0}
    return ReplayReport(
        events=replay.events,
        requests=replay.requests,
        open=replay.open,
        unreadable=replay.unreadable,
        different=replay.different,
        problems=dict(replay.problems),
        inapplicable=dict(replay.inapplicable),
        strategy=strategy,
        recorded=_sorted(replay.recorded),
        again=_sorted(replay.again),
        changed=replay.changed,
        changes=[_change(one) for one in replay.examples],
        votes_cast=replay.cast_in_time,
        votes_needed=sum(votes * n for votes, n in replay.needed.items() if votes > 0),
        certain_early=replay.certain_early,
        at_deadline=replay.needed[-1],
        votes_needed_by_request=needed,
        labels=_rates(replay.errors) if replay.labels else None,
        labels_again=_rates(replay.errors_again) if replay.labels else None,
    )


def _sorted(counts: Counter[str]) -> dict[str, int]:
    return {key: counts[key] for key in sorted(counts, key=lambda k: (k != "pass", k))}


def _rates(errors: Errors) -> ErrorRates:
    return ErrorRates(
        errors.good,
        errors.bad,
        errors.false_accepts,
        errors.false_accept_rate,
        errors.false_rejects,
        errors.false_reject_rate,
    )


def _change(one: Replayed) -> Change:
    received, verdict = one.request.received, one.request.verdict
    return Change(
        received.initiator_id,
        received.request_id,
        verdict.final_vote,
        verdict.outcome_reason,
        one.final_vote or "",
        one.reason,
        tuple(str(difference) for difference in one.differences),
    )


def csv_row(one: Replayed) -> Sequence[object]:
    """The fields of `CSV_COLUMNS`."""
    received, verdict = one.request.received, one.request.verdict
    return (
        received.initiator_id,
        received.request_id,
        received.at,
        received.rule.strategy,
        " ".join(received.voters),
        " ".join(f"{voter}={result.vote}" for voter, result in one.request.before.votes.items()),
        verdict.final_vote,
        verdict.outcome_reason,
        one.final_vote or "",
        one.reason,
        "yes" if one.changed else "no",
        "" if one.needed is None else one.needed,
        one.label or "",
        "; ".join(str(difference) for difference in one.differences),
    )


def show_report(report: ReplayReport) -> list[Text | str]:
    """Everything, for people."""
    lines: list[Text | str] = [
        f"{report.requests:,} decided requests of {report.events:,} events; {report.open:,} open"
    ]
    if report.unreadable:
        lines.append(
            Text(f"{report.unreadable:,} events can't be read: `magi audit verify --all` says which", "bold red")
        )
    for problem, count in sorted(report.problems.items(), key=lambda item: -item[1])[:SHOWN]:
        lines.append(Text(f"{count:,} could not be decided again: {printable_line(problem)}", "yellow"))
    for problem, count in sorted(report.inapplicable.items(), key=lambda item: -item[1])[:SHOWN]:
        lines.append(Text(f"{count:,} can't be decided by {report.strategy}: {printable_line(problem)}", "yellow"))
    if report.different:
        lines.append(Text(f"DIFFERENT: {report.different:,} recorded verdicts do not follow again", "bold red"))
    elif report.requests:
        lines.append(Text("Every recorded verdict that could be decided again is the same.", "green"))
    lines += ["", *_verdicts(report)]
    if report.changes:
        lines += ["", *_changes(report)]
    if report.labels and report.labels_again:
        lines += ["", *_errors(report.labels, report.labels_again, report.strategy)]
    return [*lines, "", *_needed(report)]


def _verdicts(report: ReplayReport) -> list[Text]:
    names = list(dict.fromkeys([*report.recorded, *report.again]))
    heading = ("verdict", "recorded", report.strategy or "again", "change")
    rows = [
        (name, f"{report.recorded.get(name, 0):,}", f"{report.again.get(name, 0):,}", _signed(report, name))
        for name in names
    ]
    lines = [columns(heading, rows)] if rows else []
    if report.strategy:
        lines.append(Text(f"{report.changed:,} of {report.requests:,} verdicts would have been others"))
    return lines


def _signed(report: ReplayReport, name: str) -> str:
    change = report.again.get(name, 0) - report.recorded.get(name, 0)
    return f"{change:+,}" if change else "-"


def _changes(report: ReplayReport) -> list[Text | str]:
    shown = report.changes[:SHOWN]
    rows = [
        (
            one.initiator_id,
            one.request_id,
            f"{one.recorded} ({one.recorded_reason})",
            f"{one.again} ({one.again_reason})" if one.again else "-",
        )
        for one in shown
    ]
    lines: list[Text | str] = [columns(("initiator", "request", "recorded", report.strategy or "again"), rows)]
    more = max(report.changed, report.different) - len(rows)
    if more > 0:
        lines.append(f"… and {more:,} more: --csv FILE has them all")
    different = [one for one in shown if one.differences]
    return lines + [
        Text(f"{printable_line(one.request_id)}: {printable_line('; '.join(one.differences))}", "red")
        for one in different
    ]


def _errors(was: ErrorRates, now: ErrorRates, strategy: str) -> list[Text]:
    heading = ("against labels", "recorded", strategy or "again")
    rows = [
        ("false accepts", _rate(was.false_accepts, was.labelled_fail), _rate(now.false_accepts, now.labelled_fail)),
        ("false rejects", _rate(was.false_rejects, was.labelled_pass), _rate(now.false_rejects, now.labelled_pass)),
    ]
    return [columns(heading, rows)]


def _rate(errors: int, of: int) -> str:
    return f"{errors:,} of {of:,} ({errors / of:.1%})" if of else "none labelled so"


def _needed(report: ReplayReport) -> list[Text | str]:
    decided: Mapping[str, int] = report.votes_needed_by_request
    certain = sum(decided.values())
    if not certain:
        return ["No verdict was certain before its deadline."]
    lines: list[Text | str] = [
        f"votes needed: {report.votes_needed / certain:.2f} a request of {report.votes_cast / certain:.2f} cast; "
        f"{report.certain_early:,} of {report.requests:,} verdicts were certain before the last vote, "
        f"{report.at_deadline:,} only at the deadline"
    ]
    rows = [(votes, f"{count:,}", f"{count / report.requests:.1%}") for votes, count in decided.items()]
    return [*lines, columns(("votes needed", "requests", "share"), rows)]
