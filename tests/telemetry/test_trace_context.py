"""`magi.telemetry.trace_context`."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.telemetry.trace_context import TraceContext, new_span_id, new_trace_id, parse, root_span_id, trace_id

TRACE, SPAN = "4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7"
VALID = f"00-{TRACE}-{SPAN}-01"


@pytest.mark.parametrize(
    ("given", "sampled"),
    [
        (VALID, True),
        (f"00-{TRACE}-{SPAN}-00", False),
        (f"00-{TRACE}-{SPAN}-ff", True),
        (f"00-{TRACE}-{SPAN}-02", False),
    ],
)
def test_a_traceparent_names_a_span_and_says_whether_it_is_sampled(given: str, sampled: bool) -> None:
    assert parse(given) == TraceContext(TRACE, SPAN, sampled)


@pytest.mark.parametrize("given", [f"01-{TRACE}-{SPAN}-01", f"cc-{TRACE}-{SPAN}-01-what-comes-later"])
def test_a_later_version_is_read_as_far_as_it_is_known(given: str) -> None:
    assert str(parse(given)) == VALID


@pytest.mark.parametrize(
    "given",
    [
        *("", "x", None, 5, True, ["00"], {"a": 1}, VALID.encode(), "\0" * 55, "é" * 55, VALID * 2),
        *(VALID + "\n", " " + VALID, VALID + "-", VALID + "-more", VALID[:-1], VALID.upper(), VALID.replace("-", "_")),
        *(f"ff-{TRACE}-{SPAN}-01", f"00-{'0' * 32}-{SPAN}-01", f"00-{TRACE}-{'0' * 16}-01", f"01-{TRACE}-{SPAN}-01x"),
        f"00-{TRACE[:-1]}g-{SPAN}-01",
    ],
)
def test_what_is_malformed_is_none_at_all(given: object) -> None:
    assert parse(given) is None
    if isinstance(given, str):
        assert trace_id(given) == ""


@given(st.text(alphabet="0123456789abcdef-\n\0", max_size=60) | st.text() | st.integers() | st.binary())
def test_nothing_that_is_sent_makes_it_raise(given: object) -> None:
    found = parse(given)
    assert found is None or parse(str(found)) == found


def test_what_is_made_is_valid_and_differs() -> None:
    made = {str(TraceContext(new_trace_id(), new_span_id(), sampled=True)) for _ in range(100)}
    assert len(made) == 100
    assert all(parse(one) for one in made)
    assert trace_id(VALID) == TRACE


def test_a_request_names_the_first_span_of_its_trace() -> None:
    assert root_span_id("agent.3f2b1c58-0a4e-5d13-9a0b-1b2c3d4e5f60") == "9a0b1b2c3d4e5f60"
