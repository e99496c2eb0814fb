"""`docs/performance.md` quotes what was measured last: its tables and its picture are those of the JSON."""

from xml.etree import ElementTree

import msgspec
import pytest

from bench.plot import NAMES, draw
from bench.publish import BEGIN, DOCUMENT, END, PLOT, RESULTS, load, with_tables
from bench.report import LABELS, Report


@pytest.fixture
def report() -> Report:
    return load(RESULTS)


def test_the_tables_in_the_document_are_those_of_the_measurement(report: Report) -> None:
    text = DOCUMENT.read_text()
    assert with_tables(text, report) == text, "python -m bench.publish docs/performance/side-by-side.json"


def test_the_picture_is_that_of_the_measurement(report: Report) -> None:
    assert draw(report) == PLOT.read_text(), "python -m bench.publish docs/performance/side-by-side.json"


def test_the_picture_shows_every_contender_and_each_of_its_rates(report: Report) -> None:
    texts = {element.text for element in ElementTree.fromstring(draw(report)).iter() if element.text}
    assert {NAMES[about.name][0] for about in report.contenders} <= texts
    assert set(LABELS) == set(NAMES)


def test_other_figures_make_another_table_and_leave_the_rest_of_the_document(report: Report) -> None:
    text = DOCUMENT.read_text()
    faster = msgspec.structs.replace(report.figures[0].median, per_second=123_456.0)
    figures = [msgspec.structs.replace(report.figures[0], median=faster), *report.figures[1:]]
    changed = with_tables(text, msgspec.structs.replace(report, figures=figures))
    assert "123,456 (" in changed
    assert changed.partition(BEGIN)[0] == text.partition(BEGIN)[0]
    assert changed.partition(END)[2] == text.partition(END)[2]
