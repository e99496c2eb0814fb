"""The tests' own reader of the text format: it notices what `promtool` would."""

import pytest

from tests.telemetry.strict import label_names, read

GOOD = """\
# HELP a_seconds How long
# TYPE a_seconds histogram
a_seconds_bucket{le="0.1",voter="x"} 1.0
a_seconds_bucket{le="+Inf",voter="x"} 3.0
a_seconds_count{voter="x"} 3.0
a_seconds_sum{voter="x"} 2.5
"""


def test_it_reads_what_is_right() -> None:
    assert label_names(read(GOOD)["a_seconds"]) == {("voter",)}


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("# HELP a_seconds How long\n", ""),
        ("# TYPE a_seconds histogram\n", ""),
        ('le="+Inf",voter="x"} 3.0', 'le="+Inf",voter="x"} 0.0'),
        ('a_seconds_count{voter="x"} 3.0', 'a_seconds_count{voter="x"} 4.0'),
        ('a_seconds_bucket{le="+Inf",voter="x"} 3.0\n', ""),
        ('a_seconds_sum{voter="x"} 2.5\n', ""),
        ('a_seconds_sum{voter="x"}', 'b_seconds_sum{voter="x"}'),
        ('{voter="x"} 2.5', '{voter="x",voter="x"} 2.5'),
        ('{voter="x"} 2.5', '{voter="x} 2.5'),
    ],
)
def test_it_refuses_what_is_wrong(right: str, wrong: str) -> None:
    assert right in GOOD
    with pytest.raises((AssertionError, KeyError)):
        read(GOOD.replace(right, wrong))
