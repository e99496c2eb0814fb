"""How `magi replay` shows one request, decided again step by step. Pure."""

from collections.abc import Sequence

from msgspec import Struct
from rich.text import Text

from magi.audit.history_rules import event_name
from magi.audit.redecide import Difference
from magi.audit.replay import Replayed
from magi.cli.history_report import rule_text
from magi.cli.safe import printable_line
from magi.cli.submit_report import COLOURS
from magi.domain.errors import StrategyMissing
from magi.domain.messages import Vote
from magi.domain.strategies import Outcome, Rule
from magi.domain.voting_request import Received, RequestEvent, VoterResult, VotingRequest


class Step(Struct, frozen=True):
    """An event, and the state after it."""

    seq: int
    event: str
    what: str
    """Who said what, if somebody did."""
    votes: dict[str, str]
    outstanding: tuple[str, ...]
    stands: str
    """The verdict if the outstanding voters stayed silent, and why; or the one that was given."""


class OneReplay(Struct, frozen=True):
    """A request replayed, for programs."""

    initiator_id: str
    request_id: str
    steps: list[Step]
    recorded: str
    """The verdict that is stored; `open` when there is none."""
    same: bool
    """Whether deciding again gives all that is stored of the verdict."""
    differences: tuple[Difference, ...]
    problem: str
    strategy: str
    """The rule of the what-if, or else the recorded one."""
    final_vote: str | None
    """By that rule."""
    outcome_reason: str
    votes_needed: int | None


def step_of(event: RequestEvent, state: VotingRequest) -> Step:
    voter = getattr(event, "voter_id", "")
    what = f"{voter} {event.vote}" if isinstance(event, VoterResult) else voter
    votes = {name: str(result.vote) for name, result in state.votes.items()}
    return Step(event.originator_version, event_name(event), what, votes, state.outstanding, _stands(state))


def _stands(state: VotingRequest) -> str:
    if state.received is None:
        return "not received"
    if state.verdict:
        return f"{state.verdict.final_vote} ({state.verdict.outcome_reason})"
    cast: dict[str, Vote] = {voter: result.vote for voter, result in state.votes.items()}
    try:
        outcome: Outcome = state.received.rule.decide(state.panel, cast)
    except StrategyMissing as error:
        return str(error)
    except Exception as error:  # noqa: BLE001 - a strategy is somebody else's code, and its rule may be tampered with
        return f"can't be decided: {type(error).__name__}"
    return f"{outcome.final_vote} ({outcome.reason})"


def one_replay(steps: Sequence[Step], replayed: Replayed) -> OneReplay:
    received, verdict = replayed.request.received, replayed.request.verdict
    return OneReplay(
        initiator_id=received.initiator_id,
        request_id=received.request_id,
        steps=list(steps),
        recorded=verdict.final_vote,
        same=not replayed.differences and not replayed.problem,
        differences=replayed.differences,
        problem=replayed.problem or replayed.inapplicable,
        strategy=rule_text(replayed.rule or received.rule),
        final_vote=replayed.final_vote,
        outcome_reason=replayed.reason,
        votes_needed=replayed.needed,
    )


def open_replay(steps: Sequence[Step], received: Received) -> OneReplay:
    """Of a request without a verdict."""
    return OneReplay(
        initiator_id=received.initiator_id,
        request_id=received.request_id,
        steps=list(steps),
        recorded="open",
        same=True,
        differences=(),
        problem="",
        strategy=rule_text(received.rule),
        final_vote=None,
        outcome_reason="",
        votes_needed=None,
    )


def show_steps(steps: Sequence[Step]) -> list[Text]:
    """A line each: the state after the event."""
    width = max((len(printable_line(step.what)) for step in steps), default=0)
    lines = [Text(f"seq  {'event':<14}  {'':<{width}}  pass fail abstain open  as it stands", "bold")]
    for step in steps:
        counts = [sum(vote == kind for vote in step.votes.values()) for kind in ("pass", "fail", "abstain")]
        line = Text(f"{step.seq:>3}  {step.event:<14}  {printable_line(step.what):<{width}}  ")
        line.append(f"{counts[0]:>4} {counts[1]:>4} {counts[2]:>7} {len(step.outstanding):>4}  ")
        line.append(printable_line(step.stands), COLOURS.get(step.stands.partition(" ")[0], ""))
        lines.append(line)
    return lines


def show_outcome(replayed: Replayed, asked: Rule | None) -> list[Text]:
    """The recorded verdict, the one decided again, and what another rule would have said."""
    verdict = replayed.request.verdict
    lines = [
        _verdict("recorded", verdict.final_vote, f"{verdict.outcome_reason}, decided by {verdict.decided_by}"),
    ]
    if replayed.problem:
        lines.append(Text.assemble(f"{'again':<10}", (printable_line(replayed.problem), "bold red")))
    elif replayed.differences:
        lines.append(
            Text("DIFFERENT: the recorded verdict does not follow from what is recorded before it", "bold red")
        )
        lines += [Text(f"  {printable_line(str(difference))}", "red") for difference in replayed.differences]
    else:
        lines.append(_verdict("again", verdict.final_vote, "the same"))
    if replayed.inapplicable:
        lines.append(Text.assemble(f"{'what if':<10}", (printable_line(replayed.inapplicable), "yellow")))
    elif asked and replayed.final_vote:
        changed = "CHANGED: " if replayed.changed else "unchanged: "
        lines.append(_verdict("what if", replayed.final_vote, f"{changed}{rule_text(asked)}: {replayed.reason}"))
    elif asked:
        lines.append(Text(f"{'what if':<10}{printable_line(f'{rule_text(asked)}: {replayed.reason}')}"))
    cast = len(replayed.request.before.votes)
    needed = "only at the deadline" if replayed.needed is None else f"after {replayed.needed} of {cast} votes"
    if replayed.final_vote:
        lines.append(Text(f"{'certain':<10}{needed}"))
    return lines


def _verdict(name: str, vote: str, why: str) -> Text:
    return Text.assemble(f"{name:<10}", (vote, f"bold {COLOURS.get(vote, '')}"), f" ({printable_line(why)})")


def show_open(state: VotingRequest) -> Text:
    waits = ", ".join(state.outstanding) or "nobody: the verdict is due"
    return Text(f"{'open':<10}waiting for {printable_line(waits)}; there is no verdict to decide again", "yellow")
