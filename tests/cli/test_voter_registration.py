"""Every kind of voter is registered with what it needs; its secrets are shown once and stored only where they must."""

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from magi.cli.voter_secrets import token_file
from magi.domain.tokens import is_token, token_hash, token_id
from magi.webhooks.signing import Secret
from tests.cli.commands import Result, magi
from tests.cli.serving import Serve

GROUP = ("--group", "tests")


def add(serve: Serve, voter: str, kind: str, *options: str) -> Result:
    return magi("voters", "add", voter, "--kind", kind, *GROUP, *options, data=serve.data)


def shown(serve: Serve, voter: str) -> dict[str, Any]:
    told = magi("voters", "show", voter, "--json", data=serve.data)
    assert told.code == 0, told.stderr
    card: dict[str, Any] = json.loads(told.stdout)
    return card


def files_with(serve: Serve, text: str) -> list[Path]:
    return [file for file in serve.data.rglob("*") if file.is_file() and text.encode() in file.read_bytes()]


@pytest.mark.parametrize("kind", ["websocket", "person"])
def test_who_comes_to_the_gateway_gets_a_token_as_the_last_word(serve: Serve, kind: str) -> None:
    added = add(serve, f"reg-{kind}", kind)
    assert (added.code, added.stderr) == (0, "")
    assert is_token(added.last_word, "v")
    card = shown(serve, f"reg-{kind}")
    tokens = [token["token_id"] for token in card["tokens"]]
    assert (card["kind"], tokens) == (kind, [token_id(token_hash(added.last_word))])
    kept = [token_file(serve.data, "reg-person")] if kind == "person" else []  # for `magi vote` on this machine
    assert files_with(serve, added.last_word) == kept


def test_a_webhook_gets_a_secret_in_a_file_that_is_its_owners_only(serve: Serve) -> None:
    added = add(serve, "reg-http", "http", "--url", "http://127.0.0.1:1/tasks", "--allow-private", "--timeout", "5")
    assert (added.code, added.stderr) == (0, "")
    Secret(added.last_word)
    file = serve.data / "secrets" / "webhook-reg-http"
    assert str(file) in added.stdout
    assert (file.read_text().strip(), file.stat().st_mode & 0o777) == (added.last_word, 0o600)
    assert files_with(serve, added.last_word) == [file]
    assert shown(serve, "reg-http")["settings"] == {
        "url": "http://127.0.0.1:1/tasks",
        "allow_private": True,
        "timeout_seconds": 5.0,
        "secret_file": str(file),
    }


def test_a_webhook_that_is_refused_leaves_no_secret(serve: Serve) -> None:
    refused = add(serve, "reg-inside", "http", "--url", "http://127.0.0.1:1/tasks")
    assert refused.code == 2
    assert "--url: 127.0.0.1: loopback addresses may not be called" in refused.complaint
    assert add(serve, "melchior", "http", "--url", "https://judge.example/").code == 2
    assert not any((serve.data / "secrets" / f"webhook-{name}").exists() for name in ("reg-inside", "melchior"))


def test_a_webhooks_secret_can_be_in_a_variable(serve: Serve) -> None:
    url = "https://judge.example/tasks"
    added = add(serve, "reg-variable", "http", "--url", url, "--secret-variable", "JUDGE_SECRET")
    assert added.code == 0
    assert "whsec_" not in added.stdout
    assert shown(serve, "reg-variable")["settings"] == {
        "url": url,
        "secret_variable": "JUDGE_SECRET",
        "secret_file": "",
    }


def test_a_model_is_registered_with_its_rubric_and_never_with_its_key(serve: Serve, tmp_path: Path) -> None:
    rubric = tmp_path / "rubric.md"
    rubric.write_text("Is it right?\n")
    options = ("--model", "m-1", "--base-url", "https://api.example/v1", "--rubric", f"@{rubric}")
    added = add(serve, "reg-llm", "llm", *options, "--temperature", "0.2", "--key-variable", "API_KEY")
    assert (added.code, added.stderr) == (0, "")
    assert shown(serve, "reg-llm")["settings"] == {
        "model": "m-1",
        "base_url": "https://api.example/v1",
        "rubric": "Is it right?\n",
        "temperature": 0.2,
        "key_variable": "API_KEY",
    }


def test_a_command_is_registered_by_its_absolute_path(serve: Serve) -> None:
    added = add(serve, "reg-command", "command", "--command", f"{sys.executable} -c 'print(1)'", "--capacity", "2")
    assert (added.code, added.stderr) == (0, "")
    card = shown(serve, "reg-command")
    assert (card["settings"], card["capacity"]) == ({"argv": [sys.executable, "-c", "print(1)"]}, 2)


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        (("--kind", "nats", "--url", "https://x.example"), "--url is for voters of the kind http, and not for nats"),
        (("--kind", "http"), "a voter of the kind http needs --url"),
        (("--kind", "nats", "--weight", "-1"), "weight: expected 0 to 1e+06, got -1"),
        (("--kind", "nats", "--capacity", "0"), "capacity: expected 1 to 1024, got 0"),
        (("--kind", "nats", "--max-attempts", "0"), "max_attempts: expected 1 to 100, got 0"),
        (("--kind", "nats", "--group", "No"), "group: expected 1 to 64"),
    ],
)
def test_what_can_not_be_is_refused(serve: Serve, options: tuple[str, ...], complaint: str) -> None:
    refused = magi("voters", "add", "reg-bad", *options, data=serve.data)
    assert refused.code == 2
    assert complaint in refused.complaint
    assert magi("voters", "show", "reg-bad", data=serve.data).code == 2


def test_a_change_is_an_event_with_who_and_why(serve: Serve) -> None:
    add(serve, "reg-change", "http", "--url", "https://old.example/", "--weight", "2")
    change = ("voters", "change", "reg-change", "--weight", "3", "--url", "https://new.example/", "--reason", "moved")
    assert magi(*change, data=serve.data).stdout == "Voter reg-change is changed.\n"
    assert "nothing to change" in magi(*change, data=serve.data).stdout
    card = shown(serve, "reg-change")
    assert (card["weight"], card["settings"]["url"]) == (3.0, "https://new.example/")
    assert card["settings"]["secret_file"], "what isn't named stays"
    registered, changed = card["history"]
    assert (registered["event"], changed["event"], changed["why"]) == ("voter_registered", "voter_changed", "moved")
    assert "@" in changed["by"]
    assert "weight 3" in changed["what"]


def test_a_change_of_nothing_of_nobody_and_to_what_can_not_be_are_refused(serve: Serve) -> None:
    add(serve, "reg-still", "nats")
    assert "something to change" in magi("voters", "change", "reg-still", data=serve.data).complaint
    unknown = magi("voters", "change", "reg-nobody", "--url", "https://x.example", data=serve.data)
    assert unknown.stderr == "magi: no voter named 'reg-nobody' is registered\n"
    other = magi("voters", "change", "reg-still", "--model", "m", data=serve.data)
    assert "--model is for voters of the kind llm, and not for nats" in other.complaint


def test_show_tells_people_all_of_it(serve: Serve) -> None:
    add(serve, "reg-show", "person", "--description", "the one who knows", "--weight", "2")
    magi("voters", "suspend", "reg-show", "--reason", "asleep", data=serve.data)
    told = magi("voters", "show", "reg-show", data=serve.data).stdout
    for fact in ("Voter reg-show", "person", "the one who knows", "suspended since", "asleep", "No instance is alive"):
        assert fact in told
    assert next(line.split("  ")[1] for line in told.splitlines() if line.startswith("20")).startswith("registered")


def test_an_unknown_voter_can_not_be_shown(serve: Serve) -> None:
    told = magi("voters", "show", "reg-nobody", data=serve.data)
    assert (told.code, told.stderr) == (2, "magi: no voter named 'reg-nobody' is registered\n")
