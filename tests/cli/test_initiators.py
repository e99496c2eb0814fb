import json
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed
from websockets.sync.client import connect

from magi.cli.directory import operator
from magi.domain.tokens import is_token, token_hash
from tests.cli.commands import magi
from tests.cli.serving import Serve
from tests.waiting import eventually


def lets_in(serve: Serve, token: str) -> bool:
    """Whether the gateway takes the token; it learns of a change a moment after the command has ended."""
    with connect(serve.url) as ws:
        ws.send(json.dumps({"type": "authenticate", "token": token}))
        return bool(json.loads(ws.recv(timeout=10))["type"] == "authenticated")


def row(serve: Serve, name: str) -> dict[str, object]:
    listed = json.loads(magi("initiators", "list", "--json", data=serve.data).stdout)
    found: dict[str, object] = next(row for row in listed if row["initiator_id"] == name)
    return found


def test_a_new_initiators_token_is_the_last_word_and_lets_it_in(serve: Serve) -> None:
    added = magi("initiators", "add", "ini-new", "--description", "a robot", data=serve.data)
    assert (added.code, added.stderr) == (0, "")
    assert is_token(added.last_word, "i")
    eventually(lambda: lets_in(serve, added.last_word), "the gateway knows the token")
    listed = row(serve, "ini-new")
    assert (listed["status"], listed["description"]) == ("active", "a robot")
    assert listed["tokens"] == [token_hash(added.last_word)[:12]]


def test_a_token_is_stored_nowhere(serve: Serve) -> None:
    token = magi("initiators", "add", "ini-secret", data=serve.data).last_word.encode()
    holding = [file for file in serve.data.rglob("*") if file.is_file() and token in file.read_bytes()]
    assert holding == []
    stored = [
        file
        for file in serve.data.rglob("*")
        if file.is_file() and token_hash(token.decode()).encode() in file.read_bytes()
    ]
    assert stored  # which shows that the search would have found it


def test_a_name_is_given_once(serve: Serve) -> None:
    magi("initiators", "add", "ini-twice", data=serve.data)
    again = magi("initiators", "add", "ini-twice", data=serve.data)
    assert (again.code, again.stdout) == (2, "")
    assert "registered already" in again.stderr


def test_a_name_that_can_be_none_is_refused(serve: Serve) -> None:
    refused = magi("initiators", "add", "Two Words", data=serve.data)
    assert refused.code == 2
    assert "initiator_id" in refused.stderr


def test_a_further_token_leaves_the_first_valid_until_it_is_revoked(serve: Serve) -> None:
    first = magi("initiators", "add", "ini-more", data=serve.data).last_word
    second = magi("initiators", "issue", "ini-more", data=serve.data).last_word
    eventually(lambda: lets_in(serve, second), "the gateway knows the second token")
    assert lets_in(serve, first)
    revoked = magi("initiators", "revoke", "ini-more", "--token", token_hash(first)[:12], data=serve.data)
    assert revoked.code == 0
    eventually(lambda: not lets_in(serve, first), "the gateway refuses the first token")
    assert lets_in(serve, second)


def test_revoking_an_initiator_ends_its_connections(serve: Serve) -> None:
    token = magi("initiators", "add", "ini-gone", data=serve.data).last_word
    eventually(lambda: lets_in(serve, token), "the gateway knows the token")
    with connect(serve.url, additional_headers={"Authorization": f"Bearer {token}"}) as ws:
        assert magi("initiators", "revoke", "ini-gone", "--reason", "lost", data=serve.data).code == 0
        with pytest.raises(ConnectionClosed) as closed:
            ws.recv(timeout=10)
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 4507
    assert row(serve, "ini-gone")["status"] == "revoked"
    assert "already" in magi("initiators", "revoke", "ini-gone", data=serve.data).stdout
    assert magi("initiators", "issue", "ini-gone", data=serve.data).code == 2


def test_the_list_has_a_line_each(serve: Serve) -> None:
    lines = magi("initiators", "list", data=serve.data).lines
    assert lines[0].split() == ["initiator", "status", "tokens", "registered", "description"]
    local = next(line for line in lines if line.startswith("local "))
    assert "active" in local
    assert "whoever may read the data directory" in local


def test_whoever_changes_something_is_named() -> None:
    user, at, host = operator().partition("@")
    assert user
    assert at
    assert host


def test_without_a_magi_it_says_what_to_start(nowhere: Path) -> None:
    result = magi("initiators", "list", data=nowhere)
    assert (result.code, result.stdout) == (2, "")
    assert "magi serve" in result.stderr
