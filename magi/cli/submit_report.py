"""How `magi submit` shows events: a line each for people. Pure."""

from rich.text import Text

from magi.cli.conversation import Acknowledged, Event, FinalResult, VoterProgress, VoterResult
from magi.cli.safe import printable_line

COLOURS = {"pass": "green", "fail": "red", "abstain": "yellow", "missing": "magenta"}
_WIDTH = 12


def event_line(event: Event) -> Text:
    """One line for an event, the votes and the verdict coloured. Whatever is in it, it steers no terminal."""
    match event:
        case Acknowledged():
            who = ", ".join(printable_line(voter) for voter in event.voters)
            return _line("received", Text(f"request {printable_line(event.request_id)}, judged by {who}"))
        case VoterProgress():
            return _line(event.voter_id, Text(printable_line(event.status), "dim"))
        case VoterResult():
            what = _vote(event.vote)
            if event.confidence is not None:
                what.append(f" ({event.confidence:.2f})", "dim")
            if event.reason:
                what.append(f"  {printable_line(event.reason)}")
            return _line(event.voter_id, what)
        case FinalResult():
            what = _vote(event.final_vote, "bold ")
            counts = ", ".join(f"{count} {printable_line(vote)}" for vote, count in event.tally.items() if count)
            rule = printable_line(f"{event.strategy}: {event.outcome_reason}, decided by {event.decided_by}")
            what.append(f"  {counts or 'no votes'}; {rule}")
            return _line("verdict", what)


def _line(who: str, what: Text) -> Text:
    return Text.assemble((f"{printable_line(who):<{_WIDTH}}  ", "bold" if who == "verdict" else ""), what)


def _vote(vote: str, weight: str = "") -> Text:
    # Assembled: a Text's own style would reach what is appended to it.
    return Text.assemble((printable_line(vote), f"{weight}{COLOURS.get(vote, '')}".strip()))
