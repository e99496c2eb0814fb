"""Every code of PROTOCOL §1, and the test that provokes it: none is promised that nothing leads to."""

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
HERE = Path(__file__).parent

ERRORS = {
    "invalid_json": "test_session_refusals.py::test_each_is_one_error_of_this_form",
    "invalid_message": "test_session_refusals.py::test_each_is_one_error_of_this_form",
    "unsupported_type": "test_session_refusals.py::test_each_is_one_error_of_this_form",
    "unauthorized": "test_session.py::test_nothing_is_answered_before",
    "forbidden": "test_tokens.py::test_a_token_to_read_reads_and_can_not_submit_which_is_forbidden",
    "unknown_voter": "test_session_refusals.py::test_each_is_one_error_of_this_form",
    "voter_unavailable": "test_session_refusals.py::test_a_voter_that_is_suspended_or_revoked",
    "no_voters": "test_session_refusals.py::test_no_voters",
    "unknown_strategy": "test_session_refusals.py::test_a_strategy_that_does_not_exist_or_fit",
    "request_conflict": "test_session_repeats.py::test_any_other_content_is_a_conflict",
    "unknown_request": "test_session_refusals.py::test_each_is_one_error_of_this_form",
    "too_large": "test_session_refusals.py::test_each_is_one_error_of_this_form",
    "rate_limited": "test_session_refusals.py::test_a_flood_is_refused_and_then_closed",
    "overloaded": "test_session_refusals.py::test_an_inbox_that_is_full",
    "unavailable": "test_session_refusals.py::test_an_inbox_that_is_gone",
    "internal": "test_session_refusals.py::test_a_log_that_is_damaged_is_our_fault",
}
CLOSES = {
    "4001": "test_server_stop.py::test_it_is_cut_off_with_4001_in_time",
    "4002": "test_keepalive.py::test_whoever_does_not_answer_is_closed_with_4002",
    "4003": "test_session_refusals.py::test_a_flood_is_refused_and_then_closed",
    "4005": "test_tokens.py::test_an_open_connection_is_closed_with_4005_when_its_token_expires",
    "4008": "test_following_holes.py::test_a_log_that_stays_away_closes_the_connection",
    "4502": "test_server.py::test_a_client_that_does_not_authenticate_is_closed_with_4502",
    "4503": "test_tokens.py::test_a_token_that_is_good_for_nothing_here_is_closed_with_4503",
    "4504": "test_limits.py::test_connections_are_counted_by_initiator",
    "4505": "test_session_refusals.py::test_the_tenth_in_a_row_ends_the_connection",
    "4506": "hostile/test_handshakes.py::test_another_version_is_closed_with_4506",
    "4507": "test_server.py::test_it_closes_the_connections_that_were_opened_with_the_token",
    "1003": "test_server.py::test_a_binary_frame_closes_with_1003",
    "1007": "test_server.py::test_bad_utf8_closes_with_1007",
    "1009": "test_server.py::test_a_message_of_the_limit_is_taken_and_one_byte_more_closes_with_1009",
    "1012": "test_server_stop.py::test_everybody_is_told_1012",
    "1013": "test_server.py::test_a_client_that_cannot_be_served_now_is_closed_with_1013",
}
WITHOUT = {"1001"}
"""A stopping gateway says 1012: it will be back. 1001 is what proxies and browsers say."""


def section() -> str:
    text = (ROOT / "docs" / "protocol.md").read_text()
    return text[text.index("## 1. ") : text.index("## 2. ")]


def table() -> set[str]:
    """The codes of errors in the protocol's table."""
    rows = re.findall(r"^\| (`[a-z_`/ ]+) \|", section(), re.MULTILINE)
    return {code for row in rows for code in re.findall(r"`([a-z_]+)`", row) if "_" in code or code in KNOWN}


KNOWN = {"unauthorized", "forbidden", "overloaded", "unavailable", "internal"}
"""Codes of one word; the table of messages has words, too."""


def closes() -> set[str]:
    """The close codes in the protocol's list."""
    text = section()
    listed = text[text.index("### Close codes") : text.index("### Limits")]
    return set(re.findall(r"\b([14]\d{3})\b", listed)) - {"4000", "4499", "4500", "4999"}


def test_every_error_of_the_protocol_has_its_test() -> None:
    assert table() - {"get_voters"} == set(ERRORS)


def test_every_close_code_of_the_protocol_has_its_test() -> None:
    assert closes() - WITHOUT == set(CLOSES)


@pytest.mark.parametrize(("code", "where"), [*ERRORS.items(), *CLOSES.items()])
def test_the_test_is_there_and_speaks_of_the_code(code: str, where: str) -> None:
    file, name = where.split("::")
    source = (HERE / file).read_text()
    found = [
        node
        for node in ast.walk(ast.parse(source))
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and node.name == name
    ]
    assert len(found) == 1
    text = ast.get_source_segment(source, found[0])
    assert text
    assert code in text or code in source[: source.index("class ")]
