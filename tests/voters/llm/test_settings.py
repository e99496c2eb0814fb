"""Settings of a voter that is a language model."""

from pathlib import Path
from typing import Any

import pytest

from magi.voters.kind_settings import BadSettings, read_settings
from magi.voters.llm.settings import MAX_RUBRIC_CHARS, LlmSettings, NoKey, read_key, read_rubric

LEAST = {"model": "m-1", "base_url": "http://127.0.0.1:11434/v1", "rubric": "Has tests"}
KEY = "sk-0123456789"


def settings(**changes: Any) -> LlmSettings:
    return read_settings({**LEAST, **changes}, LlmSettings)


def test_a_model_an_address_and_a_rubric_are_enough():
    least = settings()
    assert least.temperature == 0
    assert least.endpoint == "http://127.0.0.1:11434/v1/chat/completions"


def test_a_slash_at_the_end_of_the_address_does_no_harm():
    assert settings(base_url="https://models.example/v1/").endpoint == "https://models.example/v1/chat/completions"


@pytest.mark.parametrize(
    ("changes", "named"),
    [
        ({"model": ""}, "model"),
        ({"base_url": "models.example/v1"}, "base_url"),
        ({"base_url": "ftp://models.example"}, "base_url"),
        ({"base_url": "https://user:sk-1@models.example/v1"}, "base_url"),
        ({"base_url": "https://models.example/v1?key=sk-1"}, "base_url"),
        ({"base_url": "https://models.example/v1#x"}, "base_url"),
        ({"base_url": "http://169.254.169.254/v1"}, "base_url"),
        ({"allow_private": False}, "base_url"),
        ({"rubric": " "}, "rubric"),
        ({"rubric_file": "/rubric"}, "rubric"),
        ({"temperature": 3}, "temperature"),
        ({"timeout_seconds": 0}, "timeout_seconds"),
        ({"max_tries": 0}, "max_tries"),
        ({"max_answer_chars": 0}, "max_answer_chars"),
        ({"key": "sk-1"}, "key"),
        ({"key_variable": "sk-1234"}, "key_variable"),
        ({"key_variable": "MAGI_TOKEN"}, "key_variable"),
        ({"key_variable": "KEY", "key_file": "/key"}, "key_variable"),
    ],
)
def test_settings_that_do_not_fit_are_refused_and_named(changes: dict[str, Any], named: str):
    with pytest.raises(BadSettings, match=named) as caught:
        settings(**changes)
    assert "sk-1" not in str(caught.value).replace(str(changes.get("key_variable")), "")


def test_the_rubric_may_be_in_a_file(tmp_path: Path):
    file = tmp_path / "rubric.md"
    file.write_text("\n# Rubric\nHas tests, and ü\n")
    assert read_rubric(settings(rubric="", rubric_file=str(file))) == "# Rubric\nHas tests, and ü"


@pytest.mark.parametrize(
    ("content", "why"),
    [
        (None, "can't be read"),
        (b"\xff", "UTF-8"),
        (b" \n", "nothing in it"),
        (b"x" * (MAX_RUBRIC_CHARS + 1), "at most"),
    ],
)
def test_a_file_without_a_usable_rubric_is_refused(tmp_path: Path, content: bytes | None, why: str):
    file = tmp_path / "rubric.md"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(BadSettings, match=why) as caught:
        read_rubric(settings(rubric="", rubric_file=str(file)))
    assert "rubric.md" in str(caught.value)


def test_a_key_comes_from_its_variable_or_its_file(tmp_path: Path):
    file = tmp_path / "key"
    file.write_text(f"{KEY}\n")
    assert read_key(settings(), {"KEY": KEY}) == ""
    assert read_key(settings(key_variable="KEY"), {"KEY": f" {KEY}\n"}) == KEY
    assert read_key(settings(key_file=str(file)), {}) == KEY


@pytest.mark.parametrize("given", ["", "\n", f"{KEY}\r\nX-Evil: 1", f"{KEY} x", f"ü{KEY}", f"{KEY}\x00", "x" * 9000])
def test_what_can_be_no_key_is_refused_and_not_quoted(tmp_path: Path, given: str):
    file = tmp_path / "key"
    file.write_text(given)
    for where, environment in ({"key_variable": "KEY"}, {"KEY": given}), ({"key_file": str(file)}, {}):
        with pytest.raises(NoKey) as caught:
            read_key(settings(**where), environment)
        assert KEY not in str(caught.value)


def test_a_key_that_is_not_there_is_named():
    with pytest.raises(NoKey, match="the variable KEY holds no key"):
        read_key(settings(key_variable="KEY"), {})
    with pytest.raises(NoKey, match="can't be read: No such file"):
        read_key(settings(key_file="/no/such/key"), {})
