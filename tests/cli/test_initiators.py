import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

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
        return bool(json.loads(ws.recv(timeout=30))["type"] == "authenticated")


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
            ws.recv(timeout=30)
    assert closed.value.rcvd
    assert closed.value.rcvd.code == 4507
    assert row(serve, "ini-gone")["status"] == "revoked"
    assert "already" in magi("initiators", "revoke", "ini-gone", data=serve.data).stdout
    assert magi("initiators", "issue", "ini-gone", data=serve.data).code == 2


def test_the_list_has_a_line_each(serve: Serve) -> None:
    lines = magi("initiators", "list", data=serve.data).lines
    assert lines[0].split() == ["initiator", "status", "tokens", "registered", "last", "used", "description"]
    local = next(line for line in lines if line.startswith("local "))
    assert "active" in local
    assert "whoever may read the data directory" in local


def shown(serve: Serve, name: str) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(magi("initiators", "show", name, "--json", data=serve.data).stdout)
    return found


def test_a_token_to_read_that_expires(serve: Serve) -> None:
    added = magi("initiators", "add", "ini-read", "--scope", "read", "--expires", "30d", data=serve.data)
    assert added.code == 0
    assert added.lines[0] == "Initiator ini-read may read from now on."
    [token] = shown(serve, "ini-read")["tokens"]
    assert (token["scopes"], token["expired"]) == (["read"], False)
    left = datetime.fromisoformat(token["expires"]) - datetime.fromisoformat(token["issued"])
    assert timedelta(days=29, hours=23) < left <= timedelta(days=30)


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("add", "ini-bad", "--scope", "admin"), "reserved"),
        (("add", "ini-bad", "--scope", "everything"), "expected initiate or read"),
        (("add", "ini-bad", "--expires", "yesterday"), "expires"),
        (("add", "ini-bad", "--expires", "2020-01-01"), "a time to come"),
        (("rotate", "local", "--overlap", "some"), "overlap"),
        (("change", "local"), "expected something to change"),
        (("change", "local", "--open-requests", "1.5"), "whole number"),
        (("change", "local", "--connections", "0"), "above 0"),
        (("show", "ini-bad"), "no initiator named"),
    ],
)
def test_what_makes_no_sense_is_refused_and_nothing_is_stored(
    serve: Serve, arguments: tuple[str, ...], why: str
) -> None:
    before = shown(serve, "local")["history"]
    refused = magi("initiators", *arguments, data=serve.data)
    assert refused.code == 2
    assert why in " ".join(refused.stderr.replace("│", " ").split())
    assert shown(serve, "local")["history"] == before
    assert magi("initiators", "show", "ini-bad", data=serve.data).code == 2


def test_rotating_prints_a_new_token_and_lets_the_others_expire(serve: Serve) -> None:
    first = magi("initiators", "add", "ini-rotate", data=serve.data).last_word
    rotated = magi("initiators", "rotate", "ini-rotate", "--overlap", "1s", "--reason", "a leak", data=serve.data)
    assert rotated.code == 0
    eventually(lambda: lets_in(serve, rotated.last_word), "the gateway knows the new token")
    eventually(lambda: not lets_in(serve, first), "the first token has expired")
    old, new = shown(serve, "ini-rotate")["tokens"]
    assert (old["token_id"], old["expired"], new["expired"]) == (token_hash(first)[:12], True, False)
    assert row(serve, "ini-rotate")["tokens"] == [new["token_id"]]


def test_the_last_use_of_a_token_is_shown(serve: Serve) -> None:
    token = magi("initiators", "add", "ini-used", data=serve.data).last_word
    assert row(serve, "ini-used")["last_used"] == ""
    eventually(lambda: lets_in(serve, token), "the gateway knows the token")
    eventually(lambda: row(serve, "ini-used")["last_used"] != "", "its use is noted")
    [used] = shown(serve, "ini-used")["tokens"]
    assert used["last_used"] == row(serve, "ini-used")["last_used"] >= used["issued"]


def test_quotas_are_changed_with_who_when_and_why(serve: Serve) -> None:
    magi("initiators", "add", "ini-quota", data=serve.data)
    quotas = ("--requests-per-second", "2.5", "--open-requests", "10", "--connections", "none")
    changed = magi("initiators", "change", "ini-quota", *quotas, "--reason", "too busy", data=serve.data)
    assert (changed.code, changed.stdout) == (0, "Initiator ini-quota is changed.\n")
    card = shown(serve, "ini-quota")
    assert card["quotas"] == {"requests_per_second": 2.5, "open_requests": 10, "connections": 0}
    last = card["history"][-1]
    assert (last["event"], last["by"], last["why"]) == ("initiator_changed", operator(), "too busy")
    assert "as it was" in magi("initiators", "change", "ini-quota", *quotas, data=serve.data).stdout
    magi("initiators", "change", "ini-quota", "--requests-per-second", "default", data=serve.data)
    assert shown(serve, "ini-quota")["quotas"]["requests_per_second"] is None
    text = magi("initiators", "show", "ini-quota", data=serve.data).stdout
    for words in (
        "requests per second  as the settings say",
        "open requests        10",
        "connections          no quota",
    ):
        assert words in text


def test_whoever_changes_something_is_named() -> None:
    user, at, host = operator().partition("@")
    assert user
    assert at
    assert host


def test_without_a_magi_it_says_what_to_start(nowhere: Path) -> None:
    result = magi("initiators", "list", data=nowhere)
    assert (result.code, result.stdout) == (2, "")
    assert "magi serve" in result.stderr
