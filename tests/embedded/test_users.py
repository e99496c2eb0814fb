import json
from pathlib import Path

import pytest

from magi.embedded.nkey import generate
from magi.embedded.users import NatsEdge, NatsService, NatsUser, kept, parse, render

COMPONENT = generate()[0]
VOTER = NatsUser(generate()[0], publish=("magi.inbox.*.ballot.v", "$JS.ACK.TASKS.v.>"), subscribe=("_INBOX_v.>",))


def test_what_was_rendered_can_be_read_back_without_the_component() -> None:
    other = NatsUser(generate()[0], publish=(), subscribe=("a",))
    assert parse(render(COMPONENT, [VOTER, other])) == (VOTER, other)
    assert parse(render(COMPONENT, [])) == ()


def test_no_subjects_means_none_and_not_all() -> None:
    text = "".join(render(COMPONENT, [NatsUser(VOTER.public_key, publish=(), subscribe=())]).decode().split())
    assert '"publish":{"deny":[">"]},"subscribe":{"deny":[">"]}' in text
    assert "allow" not in text


def test_the_edge_has_its_own_account_and_of_the_other_only_what_is_served_to_it() -> None:
    outside = NatsUser(generate()[0], publish=("ask.>",), subscribe=("_INBOX_o.>",), account="edge")
    edge = NatsEdge((NatsService("ask.one"), NatsService("ask.many", streamed=True)), ("news.>",))
    content = render(COMPONENT, [VOTER, outside], edge)
    assert parse(content) == (VOTER, outside)
    accounts = json.loads(content.partition(b"accounts: ")[2])
    assert [user["nkey"] for user in accounts["MAGI_EDGE"]["users"]] == [outside.public_key]
    assert accounts["MAGI"]["exports"] == [
        {"accounts": ["MAGI_EDGE"], "service": "ask.one"},
        {"accounts": ["MAGI_EDGE"], "service": "ask.many", "response_type": "stream"},
        {"accounts": ["MAGI_EDGE"], "stream": "news.>"},
    ]
    assert len(accounts["MAGI_EDGE"]["imports"]) == 3


def test_what_is_served_to_the_edge_is_checked_as_all_subjects_are() -> None:
    with pytest.raises(ValueError, match="not a subject"):
        render(COMPONENT, [], NatsEdge((NatsService('a"b'),)))
    with pytest.raises(ValueError, match="not a subject"):
        render(COMPONENT, [], NatsEdge(feeds=("a b",)))


@pytest.mark.parametrize("subject", ["", "a b", 'a"', "a\\", "a\n}", "ü", "a\0"])
def test_what_could_break_out_of_the_configuration_is_refused(subject: str) -> None:
    with pytest.raises(ValueError, match="not a subject"):
        render(COMPONENT, [NatsUser(VOTER.public_key, publish=(subject,), subscribe=())])


def test_a_key_that_is_none_and_one_that_comes_twice_are_refused() -> None:
    with pytest.raises(ValueError, match="not a user's public nkey"):
        render(COMPONENT, [NatsUser("U}", (), ())])
    with pytest.raises(ValueError, match="twice"):
        render(COMPONENT, [VOTER, VOTER])
    with pytest.raises(ValueError, match="twice"):
        render(VOTER.public_key, [VOTER])


@pytest.mark.parametrize("content", [b"", b"users", b"\naccounts: {", b'\naccounts: {"MAGI":{}}', b"\naccounts: \xff"])
def test_a_file_that_we_did_not_write_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):
        parse(content)


def test_the_users_of_the_last_run_are_kept_as_far_as_they_can_be_read(tmp_path: Path) -> None:
    file = tmp_path / "users.conf"
    assert kept(file) == ()
    file.write_bytes(render(COMPONENT, [VOTER]))
    assert kept(file) == (VOTER,)
    file.write_bytes(b"nonsense")
    assert kept(file) == ()
