"""The parsing process: hostile text costs a check and nothing else."""

import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import pytest

from magi.voters.builtin.form import process


@pytest.mark.parametrize(
    ("language", "text"),
    [
        ("java", "a<" * 30_000),  # takes gigabytes
        ("csharp", "a<" * 30_000),
        ("python", "-" * 60_000 + "1"),  # exhausts the C stack
        ("sql", "(" * 30_000),
    ],
)
def test_text_that_is_too_much_for_its_parser_is_given_up(language: str, text: str):
    assert process.check(language, text).gave_up
    assert process.check("python", "x = 1") == process.Reply()


def test_text_longer_than_the_limit_is_not_parsed():
    assert process.check("json", " " * (process.MAX_CHARACTERS + 1)).gave_up


def test_a_killed_child_is_replaced():
    pool = process._Pool()
    try:
        assert pool.ask(process.Request("python", "x = (")).flaw is not None
        child = pool._idle.get()
        assert child is not None
        os.kill(child._process.pid, signal.SIGKILL)
        child._process.wait()
        pool._idle.put(child)
        assert pool.ask(process.Request("python", "x = (")).gave_up
        assert pool.ask(process.Request("python", "x = (")).flaw is not None
    finally:
        pool.close()


def test_callers_wait_for_a_child_and_each_gets_its_own_answer():
    texts = [f"x{n} = (" if n % 2 else f"x{n} = 1" for n in range(40)]
    with ThreadPoolExecutor(8) as threads:
        replies = list(threads.map(lambda text: process.check("python", text), texts))
    assert [reply.flaw is not None for reply in replies] == [n % 2 == 1 for n in range(40)]


def test_the_child_ends_with_its_parent():
    code = (
        "import os, signal; from magi.voters.builtin.form import process as p; p.check('python', 'x');"
        "child = p._get_pool()._idle.get(); print(child._process.pid, flush=True); os.kill(os.getpid(), signal.SIGKILL)"
    )
    out = subprocess.run([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True, timeout=60).stdout
    pid = int(out.strip())
    with subprocess.Popen(["tail", f"--pid={pid}", "-f", "/dev/null"]) as waiting:  # ends when that process does
        waiting.wait(timeout=30)
