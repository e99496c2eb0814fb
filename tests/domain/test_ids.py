import unicodedata
import uuid

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from magi.domain.errors import InvalidMessage
from magi.domain.ids import (
    AggregateId,
    InitiatorId,
    RequestId,
    VoterId,
    check_name,
    check_request_id,
    initiator_aggregate,
    partition_of,
    request_aggregate,
    split_task_id,
    task_id,
    voter_aggregate,
)

NAMES = st.from_regex(r"[a-z0-9_-]{1,64}", fullmatch=True)
REQUEST_IDS = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=128)
AGGREGATES = st.builds(request_aggregate, NAMES.map(InitiatorId), REQUEST_IDS.map(RequestId))

quick = settings(max_examples=50, deadline=None)


@pytest.mark.parametrize("name", ["a", "voter_1", "gpt-4-turbo", "0", "_", "-", "x" * 64])
def test_a_name_is_lower_case_digits_underscore_and_hyphen(name: str) -> None:
    assert check_name(name, "voter_id") == name


@pytest.mark.parametrize(
    "name", ["", "x" * 65, "A", "a b", "a.b", "a*", ">", "a/b", "ä", "٣", "a\n", "\na", "a\x00", "a\ud800"]
)
def test_anything_else_is_refused_and_the_field_is_named(name: str) -> None:
    with pytest.raises(InvalidMessage, match=r"^voter_id: "):
        check_name(name, "voter_id")


def test_a_refused_name_is_repeated_only_in_part() -> None:
    with pytest.raises(InvalidMessage) as refused:
        check_name("A" * 100_000, "voter_id")
    assert len(refused.value.message) < 200


@quick
@given(REQUEST_IDS)
def test_a_request_id_is_any_text_without_control_characters(text: str) -> None:
    assert check_request_id(text) == text


@pytest.mark.parametrize("text", ["", "x" * 129, "a\x00", "a\nb", "\x7f", "\x85", "a\udfff"])
def test_other_request_ids_are_refused(text: str) -> None:
    with pytest.raises(InvalidMessage, match=r"^request_id: "):
        check_request_id(text)


def test_exactly_the_control_characters_and_the_surrogates_are_refused() -> None:
    def refused(character: str) -> bool:
        try:
            check_request_id(character)
        except InvalidMessage:
            return True
        return False

    every = map(chr, range(0x3000))
    assert [c for c in every if refused(c)] == [c for c in map(chr, range(0x3000)) if unicodedata.category(c) == "Cc"]
    assert refused(chr(0xD800))
    assert not refused(chr(0x10FFFF))


def test_a_request_id_is_counted_in_characters() -> None:
    assert check_request_id("🙂" * 128)


def test_the_aggregate_of_a_request_is_the_same_for_ever() -> None:
    """Logs are found by it, years later."""
    aggregate = request_aggregate(InitiatorId("agent"), RequestId("abc123"))
    assert aggregate == "agent.796c1edb-7d70-5c28-a657-70cc4f3b58df"
    assert partition_of(aggregate, 16) == 15


@quick
@given(NAMES, NAMES, REQUEST_IDS, REQUEST_IDS)
def test_no_two_requests_share_an_aggregate(one: str, other: str, first: str, second: str) -> None:
    pairs = {(one, first), (one, second), (other, first), (other, second)}
    assert len({request_aggregate(InitiatorId(i), RequestId(r)) for i, r in pairs}) == len(pairs)


@quick
@given(NAMES, REQUEST_IDS)
def test_nothing_that_a_client_chose_but_its_checked_name_is_in_an_aggregate(name: str, request: str) -> None:
    initiator, _, rest = request_aggregate(InitiatorId(name), RequestId(request)).partition(".")
    assert initiator == name
    namespace = uuid.uuid5(uuid.NAMESPACE_DNS, "requests.magi")
    assert rest == str(uuid.uuid5(namespace, f"{name}/{request}"))


def test_voters_and_initiators_are_aggregates_of_the_directory() -> None:
    assert voter_aggregate(VoterId("melchior")) == "voter.melchior"
    assert initiator_aggregate(InitiatorId("agent")) == "initiator.agent"


@quick
@given(AGGREGATES, st.integers(1, 64))
def test_a_partition_is_one_of_those_that_there_are(aggregate: AggregateId, partitions: int) -> None:
    assert 0 <= partition_of(aggregate, partitions) < partitions


def test_requests_spread_over_the_partitions() -> None:
    counts = [0] * 8
    for n in range(8_000):
        counts[partition_of(request_aggregate(InitiatorId("agent"), RequestId(f"r{n}")), 8)] += 1
    assert all(900 < count < 1100 for count in counts)  # 1000 expected, standard deviation 30


@quick
@given(AGGREGATES, NAMES)
def test_a_task_id_names_its_request_and_its_voter(aggregate: AggregateId, voter: str) -> None:
    assert split_task_id(task_id(aggregate, VoterId(voter))) == (aggregate, voter)


UUID = "8c2b6c35-04c6-5d8a-9a8b-1a1b0d0c0f11"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "agent",
        f"agent.{UUID}",
        f"agent.{UUID}.",
        f".{UUID}.v",
        f"agent.{UUID}.V",
        f"agent.{UUID}.v.w",
        f"agent.{UUID}.*",
        f"agent.{UUID}.v\n",
        f"Agent.{UUID}.v",
        f"agent.{UUID.upper()}.v",
        f"agent.{UUID.replace('-', '')}.v",
        f"agent.{{{UUID[:-2]}}}.v",
        f"agent.{'x' * 36}.v",
        f"agent.{UUID[:-1]}٣.v",
    ],
)
def test_what_is_no_task_id_of_ours_names_nothing(text: str) -> None:
    assert split_task_id(text) is None


@quick
@given(st.text(max_size=60) | st.text("agent.-0123456789abcdef", max_size=60))
def test_any_text_is_a_task_id_or_none(text: str) -> None:
    split = split_task_id(text)
    assert split is None or task_id(*split) == text
