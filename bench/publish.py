"""Puts a measurement into the documents: its JSON and plot into docs/performance/, its tables into docs/performance.md.

    python -m bench.publish bench/results/side-by-side.json

The tables stand between two marks that no reader sees; nobody edits them by hand, and a test holds them to the JSON.
"""

import shutil
import sys
from pathlib import Path

import msgspec

from bench.plot import draw
from bench.report import Report, as_markdown

DOCS = Path(__file__).parents[1] / "docs"
DOCUMENT = DOCS / "performance.md"
RESULTS = DOCS / "performance" / "side-by-side.json"
PLOT = RESULTS.with_suffix(".svg")
BEGIN, END = "<!-- written by bench/publish.py: begin -->\n", "<!-- written by bench/publish.py: end -->\n"


def with_tables(document: str, report: Report) -> str:
    """The document with this report between its marks. Raises ValueError when it has none."""
    before, begin, rest = document.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise ValueError("the document has no marks to write between")
    return f"{before}{BEGIN}\n{as_markdown(report)}\n\n{END}{after}"


def load(file: Path) -> Report:
    """Raises OSError, msgspec.ValidationError."""
    return msgspec.json.decode(file.read_bytes(), type=Report)


def publish(file: Path) -> None:
    """Raises OSError, ValueError."""
    report = load(file)
    text = with_tables(DOCUMENT.read_text(), report)
    RESULTS.parent.mkdir(exist_ok=True)
    if file.resolve() != RESULTS.resolve():
        shutil.copyfile(file, RESULTS)
    PLOT.write_text(draw(report))
    DOCUMENT.write_text(text)
    print(f"{RESULTS.name} and {PLOT.name} are in {RESULTS.parent}, the tables in {DOCUMENT}")


if __name__ == "__main__":
    publish(Path(sys.argv[1]))
