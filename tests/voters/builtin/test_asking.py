"""What queries ask for."""

import pytest

from magi.voters.builtin.asking import wish


@pytest.mark.parametrize(
    ("query", "language", "code", "data"),
    [
        ("Write a Python function that adds two numbers", "python", True, None),
        ("Write a function in Go", "go", True, None),
        ("Write a C program", "c", True, None),
        ("Write a C++ class", "cpp", True, None),
        ("Translate it to C#", "csharp", False, None),
        ("Convert this Python code to JavaScript", "javascript", True, None),
        ("Please generate some code for me", None, True, None),
        ("Is Java better than Python?", None, False, None),
        ("I want to go home", None, False, None),
        ("Write a script for a short film", None, False, None),
        ("Return a JSON object with name and age", "json", False, "json"),
        ("Answer in YAML", "yaml", False, "yaml"),
        ("Convert this JSON to YAML", "yaml", False, "yaml"),
        ("Generate a CSV with three rows", "csv", False, "csv"),
        ("What is JSON?", "json", False, None),
        ("Explain the difference between JSON and XML", None, False, None),
        ("Write a Python script that prints JSON", "python", True, None),
        ("Write a Go HTTP handler that returns the time as JSON", "go", True, None),
        ("Convert this Python dictionary to JSON", "json", False, "json"),
        ("Write a Dockerfile for a Python server", "python", True, None),
        ("", None, False, None),
    ],
)
def test_queries_are_read(query: str, language: str | None, code: bool, data: str | None):
    read = wish(query)
    assert (read.code, read.data) == (code, data)
    if language is None or data is None:
        assert read.language == language


def test_only_is_noticed():
    assert wish("Return only JSON").only
    assert wish("Answer as JSON, nothing else").only
    assert not wish("Answer as JSON").only
