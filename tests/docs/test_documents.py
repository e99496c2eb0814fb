"""What README and docs/ say is tried: their Python runs, their commands exist, their links lead somewhere."""

import re
import shlex
import tomllib
from pathlib import Path
from typing import Any

import pytest
import typer.main

from magi.cli.application import app
from magi.cli.settings import load

ROOT = Path(__file__).parents[2]
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
_BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_LINK = re.compile(r"\]\((?!https?:|#)([^)#]+)")


def blocks(language: str) -> list[tuple[str, str]]:
    """Each code block of a language, with the name of its document."""
    found = []
    for document in DOCUMENTS:
        for name, code in _BLOCK.findall(document.read_text()):
            if name == language:
                found.append((str(document.relative_to(ROOT)), code))
    return found


def commands() -> list[tuple[str, str]]:
    found = []
    for document, code in blocks("sh"):
        for line in code.replace("\\\n", " ").splitlines():
            words = line.split(" && ")[-1].strip()
            if words.startswith(("magi ", "uv run magi ")):
                found.append((document, words.removeprefix("uv run ")))
    return found


@pytest.mark.parametrize(("document", "code"), blocks("python"))
def test_python_in_documents_runs(document: str, code: str) -> None:
    exec(compile(code, document, "exec"), {"__name__": document})


@pytest.mark.parametrize(("document", "code"), blocks("toml"))
def test_settings_files_in_documents_are_accepted(document: str, code: str, tmp_path: Path) -> None:
    assert tomllib.loads(code)
    file = tmp_path / "magi.toml"
    file.write_text(code)
    load(file, {})


def _is_whole(group: Any, words: list[str]) -> bool:
    """Whether a group of commands is one itself, and meant here: `magi alerts`."""
    return bool(group.invoke_without_command) and (not words or words[0].startswith("--"))


@pytest.mark.parametrize(("document", "command"), commands())
def test_commands_in_documents_exist_with_their_options(document: str, command: str) -> None:
    words = shlex.split(command)[1:]
    found: Any = typer.main.get_command(app)
    while hasattr(found, "commands") and not _is_whole(found, words):
        name = words.pop(0)
        assert name in found.commands, f"{document}: {command}"
        found = found.commands[name]
    known = {option for parameter in found.params for option in parameter.opts}
    assert {word.partition("=")[0] for word in words if word.startswith("--")} <= known, f"{document}: {command}"


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda document: document.name)
def test_links_lead_to_files(document: Path) -> None:
    for target in _LINK.findall(document.read_text()):
        assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_every_setting_is_documented_with_its_default() -> None:
    table = (ROOT / "docs" / "settings.md").read_text()
    _, settings = load(None, {})
    for setting in settings:
        value = ", ".join(setting.value) if isinstance(setting.value, tuple) else str(setting.value)
        default = f"`{value}`" if value else ""
        assert f"| `{setting.name}` | {default} |" in table, setting.name
