"""How the demo looks: a block a request, a table in the end. Content is shown shortened and made harmless."""

from typing import Any

from msgspec import Struct
from rich import box
from rich.console import Console
from rich.markup import escape
from rich.padding import Padding
from rich.rule import Rule
from rich.table import Table
from rich.text import Text

from magi.cli.examples import Example
from magi.cli.safe import printable

SHOWN = 100
REASON = 400
_STYLES = {"pass": "bold green", "fail": "bold red", "abstain": "dim", "missing": "yellow"}
_MARKS = {"pass": "✓", "fail": "✗", "abstain": "–", "missing": "?"}


class Outcome(Struct):
    """What came of an example."""

    number: int
    title: str
    expected: str
    verdict: str = ""
    """Empty when it was refused."""
    details: dict[str, str] = {}
    reason: str = ""
    seconds: float = 0.0


def shortened(text: str, width: int = SHOWN) -> str:
    """One line of untrusted text, printable, at most `width` characters."""
    line = printable(" ".join(text[: 4 * width].split()))
    return line if len(line) <= width else line[: width - 1] + "…"


def show_example(console: Console, number: int, example: Example) -> None:
    """The head of a block: what was asked and answered."""
    console.print(Rule(f"[bold]{number:02}[/] {escape(example.title)}", align="left", style="dim"))
    answer = shortened(example.agent_answer) or "(nothing)"
    size = f"  {len(example.agent_answer):,} characters"
    _line(console, Text("asked", "dim"), Text(shortened(example.user_query)))
    _line(console, Text("answered", "dim"), Text.assemble(answer, (size, "dim")))


def show_event(console: Console, event: dict[str, Any], seconds: float) -> None:
    """One event of the wire, as a line. That a voter is at work is not worth one: it takes milliseconds."""
    at = Text(f"{seconds:.3f} s", "dim", justify="right")
    match event["type"]:
        case "acknowledged":
            _line(console, at, Text("received", "cyan"), Text("panel: " + ", ".join(event["voters"])))
        case "voter_result":
            vote = Text(event["vote"], _STYLES[event["vote"]])
            _line(console, at, Text(event["voter_id"]), vote, Text(shortened(event.get("reason") or "", REASON)))
        case "final_result":
            tally = ", ".join(f"{count} {kind}" for kind, count in event["tally"].items() if count)
            verdict = event["final_vote"]
            how = f"{event['strategy']}: {event['outcome_reason']} ({tally}), decided by {event['decided_by']}"
            _line(console, at, Text("verdict", "cyan"), Text(verdict.upper(), _STYLES[verdict]), Text(how))
        case "error":
            _line(console, at, Text("refused", "red"), Text(f"{event['code']}: {printable(event['message'])}"))


def _line(console: Console, *cells: Text) -> None:
    """Cells in columns that stand below each other from line to line; the last one is wrapped within its own."""
    grid = Table.grid(padding=(0, 2, 0, 0))
    for width in (9, 9, 7)[: len(cells) - 1]:
        grid.add_column(width=width, no_wrap=True)
    grid.add_column(ratio=1)
    grid.add_row(*cells)
    console.print(Padding(grid, (0, 0, 0, 1)))


def show_summary(console: Console, outcomes: list[Outcome]) -> None:
    """One row an example: verdict, votes, time."""
    voters = sorted({voter for outcome in outcomes for voter in outcome.details})
    console.print(Rule("[bold]What the panel decided[/]", align="left", style="dim"))
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 2, 0, 0), expand=True)
    table.add_column("#", justify="right")
    table.add_column("example", no_wrap=True, overflow="ellipsis", ratio=1)
    for voter in voters:
        table.add_column(voter, justify="center", no_wrap=True, min_width=len(voter))
    table.add_column("verdict", no_wrap=True, min_width=7)
    table.add_column("ms", justify="right", min_width=5)
    for outcome in outcomes:
        votes = [Text(_MARKS[v], _STYLES[v]) if (v := outcome.details.get(voter)) else Text("") for voter in voters]
        verdict = Text(outcome.verdict or "refused", _STYLES.get(outcome.verdict, "yellow"))
        if outcome.verdict != outcome.expected:
            verdict.append(f" (expected {outcome.expected})", "yellow")
        table.add_row(
            str(outcome.number),
            escape(outcome.title),
            *votes,
            verdict,
            f"{outcome.seconds * 1000:.0f}",
        )
    console.print(table)
    passed = sum(1 for outcome in outcomes if outcome.verdict == "pass")
    console.print(f"{len(outcomes)} judged: {passed} passed, {len(outcomes) - passed} held back.\n")


def show_next(console: Console) -> None:
    """Where to go from here."""
    console.print("[bold]Try next[/]")
    for command, purpose in (
        ("uv run magi serve", "run it; leave it running, and in another terminal:"),
        ("uv run magi submit --query 'Say hello in Python' --answer 'print(\"hello\")'", "judge an answer of yours"),
        ("uv run magi doctor", "see that everything is as it should be"),
    ):
        console.print(f"  [cyan]{escape(command)}[/]\n      {purpose}")
