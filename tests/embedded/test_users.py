from pathlib import Path

import pytest

from magi.embedded.nkey import generate
from magi.embedded.users import NatsUser, kept, parse, render

COMPONENT = generate()[0]
VOTER = NatsUser(generate()[0], publish=("magi.inbox.*.ballot.v", "$JS.ACK.TASKS.v.>"), subscribe=("_INBOX_v.>",))


def test_what_was_rendered_can_be_read_back_without_the_component() -> None:
    other = NatsUser(generate()[0], publish=(), subscribe=("a",))
    assert parse(render(COMPONENT, [VOTER, other])) == (VOTER, other)
    assert parse(render(COMPONENT, [])) == ()


def test_no_subjects_means_none_and_not_all() -> None:
    text = render(COMPONENT, [NatsUser(VOTER.public_key, publish=(), subscribe=())]).decode()
    assert '"publish":{"deny":[">"]},"subscribe":{"deny":[">"]}' in text
    assert "allow" not in text


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


@pytest.mark.parametrize("content", [b"", b"users", b"\nusers: [", b"\nusers: [{}]", b"\nusers: \xff"])
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
