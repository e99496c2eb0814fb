"""Options to settings: what each kind needs, and complaints that name the option."""

import os
import sys
from pathlib import Path

import pytest
from typer import BadParameter

from magi.cli.voter_settings import KindOptions, checked, command_line, settings_of
from magi.domain.voter import VoterKind

LLM = KindOptions(model="m", base_url="https://api.example/v1", rubric="Is it right?")


def complete(kind: VoterKind, options: KindOptions) -> dict[str, object]:
    settings = settings_of(kind, options)
    return checked(kind, {**settings, "secret_file": "/nowhere"} if kind == "http" else settings)


def test_a_webhook_needs_its_url() -> None:
    assert settings_of("http", KindOptions(url="https://judge.example/tasks", timeout=5)) == {
        "url": "https://judge.example/tasks",
        "timeout_seconds": 5,
    }


def test_a_model_needs_its_name_its_server_and_a_rubric() -> None:
    assert complete("llm", LLM) == {"model": "m", "base_url": "https://api.example/v1", "rubric": "Is it right?"}


def test_a_rubric_in_a_file_is_registered_as_its_text(tmp_path: Path) -> None:
    file = tmp_path / "rubric.md"
    file.write_text("Is it polite?")
    options = KindOptions(model="m", base_url="https://api.example/v1", rubric=f"@{file}")
    assert complete("llm", options)["rubric"] == "Is it polite?"


def test_a_command_is_split_like_a_shell_does_and_its_program_found(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "lint.sh").touch(mode=0o755)
    monkeypatch.chdir(tmp_path)
    assert command_line("./lint.sh --strict 'two words'") == [str(tmp_path / "lint.sh"), "--strict", "two words"]
    monkeypatch.setenv("PATH", str(tmp_path), prepend=os.pathsep)
    assert command_line("lint.sh") == [str(tmp_path / "lint.sh")]
    assert complete("command", KindOptions(command=f"{sys.executable} -c pass", env=["HOME"]))["env"] == ["HOME"]


@pytest.mark.parametrize(
    ("kind", "options", "complaint"),
    [
        ("http", KindOptions(), "a voter of the kind http needs --url"),
        ("llm", KindOptions(model="m"), "needs --base-url, --rubric"),
        ("command", KindOptions(), "needs --command"),
        ("nats", KindOptions(url="https://x.example"), "--url is for voters of the kind http, and not for nats"),
        ("http", KindOptions(url="https://x.example", timeout=1, model="m"), "--model is for voters of the kind llm"),
        ("websocket", KindOptions(timeout=1), "--timeout is for voters of the kind http and llm and command"),
        ("http", KindOptions(url="ftp://x.example"), "--url: not a URL of http or https"),
        ("http", KindOptions(url="http://127.0.0.1:1/"), "--url: 127.0.0.1: loopback addresses may not be called"),
        ("http", KindOptions(url="https://x.example", timeout=0), "--timeout: Expected `float` > 0.0"),
        ("llm", KindOptions(model="", base_url="https://x.example", rubric="r"), "--model: Expected `str`"),
        ("llm", KindOptions(model="m", base_url="x", rubric="r"), "--base-url: "),
        ("llm", KindOptions(model="m", base_url="https://x.example", rubric=" "), "rubric"),
        (
            "llm",
            KindOptions(model="m", base_url="https://x.example", rubric="r", temperature=3),
            "--temperature: Expected `float` <= 2.0",
        ),
        (
            "llm",
            KindOptions(model="m", base_url="https://x.example", rubric="r", key_variable="a b"),
            "--key-variable: Expected `str` matching",
        ),
        (
            "llm",
            KindOptions(model="m", base_url="https://x.example", rubric="@/nowhere/rubric"),
            "--rubric: /nowhere/rubric: No such file",
        ),
        ("command", KindOptions(command="'open"), "--command: No closing quotation"),
        ("command", KindOptions(command=" "), "--command: expected a program"),
        ("command", KindOptions(command="no-such-program-anywhere"), "--command: there is no 'no-such-program"),
        ("command", KindOptions(command="/nowhere/lint.sh"), "--command: /nowhere/lint.sh: no such file"),
        ("command", KindOptions(command="/dev/null"), "--command: /dev/null: no such file"),
        ("command", KindOptions(command=__file__), "can't be executed"),
        ("command", KindOptions(command=sys.executable, env=["MAGI_TOKEN"]), "--env: MAGI_TOKEN is MAGI's own"),
        ("command", KindOptions(command=sys.executable, env=["1a"]), "--env: Expected `str` matching"),
    ],
)
def test_a_complaint_names_the_option(kind: VoterKind, options: KindOptions, complaint: str) -> None:
    with pytest.raises(BadParameter) as refused:
        complete(kind, options)
    assert complaint in refused.value.message


def test_a_change_keeps_what_it_does_not_name() -> None:
    before = complete("llm", LLM)
    assert settings_of("llm", KindOptions(temperature=0.5), before) == {**before, "temperature": 0.5}


def test_a_secret_in_a_variable_takes_the_place_of_the_file() -> None:
    before = {"url": "https://x.example", "secret_file": "/data/secrets/webhook-a"}
    after = settings_of("http", KindOptions(secret_variable="HOOK_SECRET"), before)
    assert checked("http", after)["secret_file"] == ""
