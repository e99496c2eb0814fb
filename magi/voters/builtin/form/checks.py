"""One table from the name of a language or data format to the function that says what is wrong with a text of it."""

from collections.abc import Callable

from magi.voters.builtin.form.flaw import Flaw
from magi.voters.builtin.text import words

CODE = words(
    """
    python javascript typescript java c cpp csharp go rust php ruby bash css html sql
    """
)
DATA = words(
    """
    json yaml toml xml csv
    """
)
CHECKED = CODE | DATA


def check(language: str, text: str) -> Flaw | None:
    """The first flaw of `text`, which is one of `CHECKED`; None when it is well formed.

    Raises TimeoutError, RecursionError or MemoryError when the text is too much for its parser.
    """
    return _checker(language)(text)


def _checker(language: str) -> Callable[[str], Flaw | None]:
    match language:
        case "python":
            from magi.voters.builtin.form.python_code import check as python

            return python
        case "html":
            from magi.voters.builtin.form.html import check as html

            return html
        case "sql":
            from magi.voters.builtin.form.sql import check as sql

            return sql
        case "json":
            from magi.voters.builtin.form.json_text import check as json

            return json
        case "yaml" | "toml" | "xml" | "csv":
            from magi.voters.builtin.form import data

            return {"yaml": _yaml, "toml": data.check_toml, "xml": data.check_xml, "csv": data.check_csv}[language]
        case _:
            from magi.voters.builtin.form import grammars

            return lambda text: grammars.check(language, text)


def _yaml(text: str) -> Flaw | None:
    from magi.voters.builtin.form import data

    flaw = data.check_yaml(text)
    if flaw is None and not data.yaml_is_structured(text):
        return Flaw(1, 1, "this is text, not a YAML mapping or list", "answer with `key: value` lines or a list")
    return flaw
