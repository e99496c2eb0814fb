import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.domain.errors import InvalidMessage
from magi.domain.ids import VoterId
from magi.domain.slots import NamedVoter, SomeOf, parse_members, parse_slots

NAMES = st.text("abcdefghijklmnopqrstuvwxyz0123456789_-", min_size=1, max_size=64)
SLOTS = st.builds(NamedVoter, NAMES.map(VoterId)) | st.builds(SomeOf, st.integers(1, 3), NAMES)


def test_members_are_voters_and_numbers_of_groups() -> None:
    assert parse_members("melchior, balthasar,  2   of llm ") == (
        NamedVoter(VoterId("melchior")),
        NamedVoter(VoterId("balthasar")),
        SomeOf(2, "llm"),
    )


def test_a_voter_may_be_called_what_looks_like_a_number_or_the_word() -> None:
    assert parse_members("1, of") == (NamedVoter(VoterId("1")), NamedVoter(VoterId("of")))


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("", "expected a voter or `NUMBER of GROUP`"),
        ("a,,b", "expected a voter or `NUMBER of GROUP`"),
        ("a, B", "members: expected 1 to 64 of a-z, 0-9, '_' and '-', got 'B'"),
        ("a b", "got 'a b'"),
        ("a, 0 of llm", "'0 of llm': expected a number from 1 to 64, got '0'"),
        ("x of llm", "expected a number from 1 to 64, got 'x'"),
        ("٣ of llm", "expected a number from 1 to 64"),
        ("-1 of llm", "expected a number from 1 to 64, got '-1'"),
        ("65 of llm", "expected a number from 1 to 64, got '65'"),
        ("1 of LLM", "'1 of LLM': the group: expected 1 to 64 of a-z"),
        ("1 of a b", "got '1 of a b'"),
        ("a, b, a", "the voter 'a' is there twice"),
        ("1 of llm, 2 of llm", "the group 'llm' is there twice"),
        ("a, 64 of llm", "expected at most 64 voters, got 65"),
    ],
)
def test_a_complaint_names_the_part_that_does_not_fit(text: str, complaint: str) -> None:
    with pytest.raises(InvalidMessage) as refused:
        parse_members(text)
    assert complaint in str(refused.value)


def test_nothing_at_all_is_no_panel() -> None:
    with pytest.raises(InvalidMessage, match="expected at least one"):
        parse_slots(())


@given(st.lists(SLOTS, min_size=1, max_size=8, unique_by=lambda slot: (type(slot), str(slot).split()[-1])))
def test_what_is_written_is_read_again(slots: list[NamedVoter | SomeOf]) -> None:
    assert parse_members(", ".join(map(str, slots))) == tuple(slots)
    assert parse_slots([str(slot) for slot in slots]) == tuple(slots)


@given(st.text())
def test_any_text_is_members_or_refused_in_few_words(text: str) -> None:
    try:
        parse_members(text)
        complaint = ""
    except InvalidMessage as refused:
        complaint = refused.message
    assert len(complaint) < 1200
