"""Melchior: is the answer well formed. Its code parses in its language, the data that was asked for is valid.

What an author declares wins over a guess: the fence's info string, then the language that the query names. Text that no
parser can be expected to read (diffs, drawings, code with parts left out) is not held against an answer.
"""

import time
from collections.abc import Iterator
from typing import Literal

from msgspec import Struct

from magi.domain.messages import Opinion, Task
from magi.voters.builtin import BUILTIN, asking, fences, languages
from magi.voters.builtin.asking import Wish
from magi.voters.builtin.fences import Block, Document
from magi.voters.builtin.form import payload, plain, process, snippets
from magi.voters.builtin.form.checks import CHECKED, DATA
from magi.voters.builtin.form.flaw import Flaw
from magi.voters.builtin.languages import ALIASES, TITLES
from magi.voters.builtin.text import clip, told

DESCRIPTION = BUILTIN["melchior"].description

MAX_SECONDS = 10.0
"""For one answer; blocks that are left by then are not checked. 256 KiB of ordinary code take 0.3 s."""

# What is often written under another name: code that fails in the first and parses in the second is told so.
_MISTAKEN_FOR = {"javascript": "typescript", "c": "cpp", "typescript": "javascript"}


class _Part(Struct, frozen=True):
    """A stretch of the answer and the language it is held to."""

    language: str
    block: Block
    declared: Literal["fence", "query", "guess"]


class _Result(Struct, frozen=True):
    part: _Part
    state: Literal["fine", "broken", "unclear"]
    flaw: Flaw | None = None


def judge(task: Task) -> Opinion:
    """Fails what does not parse, passes what does, abstains when there is nothing that could.

    Never raises; parsing happens in another process, at most `MAX_SECONDS` and one check longer.
    """
    if not task.agent_answer.strip():
        return Opinion.abstains("The answer is empty: there is nothing to parse.")
    wish = asking.wish(task.user_query)
    document = fences.split(task.agent_answer)
    strict = _strict_flaw(wish, document)
    end = time.monotonic() + MAX_SECONDS
    results = [_check(part, wish) for part in _parts(wish, document) if time.monotonic() < end]
    broken = [_tell(result) for result in results if result.state == "broken"]
    if strict is not None:
        broken.append(strict)
    if broken:
        sure = strict is not None or any(r.part.declared != "guess" for r in results if r.state == "broken")
        return Opinion.fails(told(broken), 0.95 if sure else 0.75)
    fine = [result for result in results if result.state == "fine"]
    if fine:
        return Opinion.passes(_praise(fine), 0.9 if any(r.part.declared != "guess" for r in fine) else 0.7)
    if results:
        return Opinion.abstains(clip(f"What is there can't be told from here: {_tell(results[0])}."))
    return Opinion.abstains("No code and no data to check in this answer.")


def _strict_flaw(wish: Wish, document: Document) -> str | None:
    """Data was asked for and is not there, or is not alone where it was asked for alone."""
    if wish.data is None:
        return None
    title = TITLES[wish.data]
    block = payload.find(wish.data, document)
    if block is None:
        other = next((b.info for b in document.blocks if b.info), None)
        what = f"only a block of {other}" if other else "none"
        return f"{title} was asked for and the answer has {what}; answer with {title}"
    if wish.only and (line := payload.around(block, document)) is not None:
        return f"Nothing but {title} was asked for, and there is other text at line {line}; remove it"
    return None


def _parts(wish: Wish, document: Document) -> Iterator[_Part]:
    data = payload.find(wish.data, document) if wish.data else None
    if wish.data and data is not None:
        yield _Part(wish.data, data, "query")
    for block in document.blocks:
        if block is data or snippets.is_no_code(block.code) or not block.code.strip():
            continue
        named = ALIASES.get(block.info)
        if named is not None:
            yield _Part(named, block, "fence")
        elif not block.info and (guessed := _unnamed(wish, block)) is not None:
            yield guessed
    if not document.blocks and data is None and (found := plain.find(document.prose)) is not None:
        guessed = _unnamed(wish, found)
        pseudo = guessed is not None and guessed.declared == "guess" and snippets.is_pseudo_code(document.prose)
        if guessed is not None and not pseudo and not snippets.is_no_code(found.code):
            yield guessed


def _unnamed(wish: Wish, block: Block) -> _Part | None:
    """Code without a declaration of its own: the query's language when it reads like that, else what its marks tell."""
    guessed = languages.guess(block.code)
    if wish.language in CHECKED - DATA and wish.language is not None and guessed in (wish.language, None):
        if guessed is not None or plain.find(block.code) is not None:
            return _Part(wish.language, block, "query")
        return None
    if guessed is None or snippets.is_pseudo_code(block.code):
        return None
    return _Part(guessed, block, "guess")


def _check(part: _Part, wish: Wish) -> _Result:
    code = snippets.without_prompts(part.language, part.block.code)
    reply = process.check(part.language, code)
    if reply.gave_up:
        return _Result(part, "unclear", Flaw(1, 1, "too long or too costly to parse"))
    if reply.flaw is None:
        return _Result(part, "fine")
    if reply.flaw.severity == "doubtful":
        return _Result(part, "unclear", reply.flaw)
    if not (part.declared == "query" and part.language in DATA):
        if snippets.leaves_parts_out(code):
            again = process.check(part.language, snippets.filled_in(part.language, code))
            state: Literal["fine", "unclear"] = "fine" if again.flaw is None and not again.gave_up else "unclear"
            return _Result(part, state, reply.flaw)
        if part.language == "json" and _is_commented_json(code):
            return _Result(part, "unclear", reply.flaw)
    other = _MISTAKEN_FOR.get(part.language)
    if other is not None:
        again = process.check(other, code)
        if again.flaw is None and not again.gave_up:
            flaw = reply.flaw
            what = f"{flaw.what}; it parses as {TITLES[other]}"
            return _Result(
                part, "broken", Flaw(flaw.line, flaw.column, what, f"label it {TITLES[other]} or rewrite it")
            )
    return _Result(part, "broken", reply.flaw)


def _is_commented_json(code: str) -> bool:
    """JSON in a fence nobody asked to be strict, with comments to the reader."""
    bare = "\n".join(line.split("//")[0] if "://" not in line else line for line in code.split("\n"))
    return bare != code and process.check("json", bare).flaw is None


def _tell(result: _Result) -> str:
    part, flaw = result.part, result.flaw
    if flaw is None:
        return f"{TITLES[part.language]} at line {part.block.line} parses"
    line = part.block.line + flaw.line - 1
    fix = f"; {flaw.fix}" if flaw.fix else ""
    return clip(f"{TITLES[part.language]}, line {line} of the answer: {flaw.what}{fix}", 400)


def _praise(fine: list[_Result]) -> str:
    counts: dict[str, int] = {}
    for result in fine:
        title = TITLES[result.part.language]
        counts[title] = counts.get(title, 0) + 1
    listed = ", ".join(f"{title} ({count} blocks)" if count > 1 else title for title, count in counts.items())
    return clip(f"It parses: {listed}.")
