"""The domain is a function of its arguments: nothing of ours, no loop, no socket, no clock, no chance (DESIGN §1.3)."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

import magi.domain

FOLDER = Path(magi.domain.__file__).parent
MODULES = sorted(FOLDER.rglob("*.py"))

ALLOWED = {
    "collections.abc",
    "datetime",
    "fractions",
    "functools",
    "hashlib",
    "importlib.metadata",  # finds the strategies of third parties, once; the only look at the machine
    "math",
    "msgspec",
    "re",
    "typing",
    "uuid",
    "zlib",
}

# What these modules offer, or Python itself, that is not a function of its arguments.
IMPURE = {"now", "utcnow", "today", "uuid1", "uuid4", "getnode", "urandom", "open", "input", "print", "exec", "eval"}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports are absolute"
            yield node.module or ""


def calls(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            match node.func:
                case ast.Name(id=name) | ast.Attribute(attr=name):
                    yield name


def asynchronous(tree: ast.AST) -> bool:
    return any(
        isinstance(node, ast.AsyncFunctionDef | ast.Await | ast.AsyncFor | ast.AsyncWith) for node in ast.walk(tree)
    )


def offences(source: str) -> set[str]:
    tree = ast.parse(source)
    found = {name for name in imports(tree) if name not in ALLOWED and not f"{name}.".startswith("magi.domain.")}
    found |= IMPURE.intersection(calls(tree))
    return found | ({"async"} if asynchronous(tree) else set())


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(FOLDER)))
def test_a_module_of_the_domain_is_pure(module: Path) -> None:
    assert offences(module.read_text()) == set()


@pytest.mark.parametrize(
    ("source", "offence"),
    [
        ("import time", "time"),
        ("import asyncio as a", "asyncio"),
        ("from socket import socket", "socket"),
        ("from magi.eventstore.log import Log", "magi.eventstore.log"),
        ("import magi.domainlike", "magi.domainlike"),
        ("def f():\n    import random", "random"),
        ("from datetime import datetime\ndatetime.now()", "now"),
        ("import uuid\nuuid.uuid4()", "uuid4"),
        ("def f():\n    return open('x')", "open"),
        ("async def f(): ...", "async"),
    ],
)
def test_what_is_not_pure_is_noticed(source: str, offence: str) -> None:
    assert offences(source) == {offence}
