"""What was seen before, in bounded memory."""

from hypothesis import given
from hypothesis import strategies as st

from magi.audit.seen import SeenAggregates, SeenIds
from magi.eventstore.codec import new_event_id

IDS = st.one_of(
    st.sampled_from(["", "-", "a-", "-a", "a-a", "a-A", "a-0a", "a-+a", "a- a", "a-a_a", "b-a", "a-b-a"]),
    st.builds(lambda p, n: f"{p}-{n:x}", st.sampled_from(["p", "q"]), st.integers(0, 3000)),
    st.text(max_size=4),
)


@given(st.lists(IDS, max_size=200))
def test_an_id_is_new_exactly_once(ids: list[str]) -> None:
    seen, exact = SeenIds(), set[str]()
    for one in ids:
        assert seen.add(one) == (one not in exact)
        exact.add(one)


def test_a_hundred_thousand_ids_of_one_process_take_a_hundred_integers() -> None:
    seen = SeenIds()
    assert all(seen.add(f"5f3a9c0d71e24b86-{number:x}") for number in range(100_000))
    assert len(seen._pages) == 98
    assert not seen._others


def test_real_ids_are_counted_by_process() -> None:
    seen = SeenIds()
    one = new_event_id()
    assert seen.add(one)
    assert not seen.add(one)
    assert seen.add(new_event_id())
    assert not seen._others


def test_an_aggregate_that_was_seen_is_never_new_and_others_nearly_always_are() -> None:
    seen = SeenAggregates()
    names = [f"agent.{number:032x}" for number in range(20_000)]
    assert all(seen.add(name) for name in names)
    assert not any(seen.add(name) for name in names)
