"""Casper: does the answer answer the question: refusals, endings, languages, and whether it is about the same thing."""

import re

from magi.domain.messages import Opinion, Task
from magi.voters.builtin import BUILTIN, asking, fences, languages
from magi.voters.builtin.fences import Document
from magi.voters.builtin.form import plain
from magi.voters.builtin.languages import ALIASES, TITLES
from magi.voters.builtin.relevance import overlap, refusals, tongue, truncation
from magi.voters.builtin.text import clip

DESCRIPTION = BUILTIN["casper"].description

_NAMES = frozenset(ALIASES)
MIN_ASKED, MIN_ANSWER = 2, 12
"""Meaningful words that query and answer must have before it says anything that they share none."""


def judge(task: Task) -> Opinion:
    """Fails what is no answer or an answer to something else, passes what takes up the question, abstains when unsure.

    Never raises; linear in the length of query and answer, of which the first 64 KiB are compared.
    """
    query, answer = task.user_query, task.agent_answer.replace("\r\n", "\n").replace("\r", "\n")
    if not any(char.isalnum() for char in answer):
        return _short(answer)
    if (stand_in := refusals.placeholder(answer, query)) is not None:
        return Opinion.fails(clip(f"“{stand_in}” stands where the answer should; answer the question."), 0.9)
    document = fences.split(answer)
    match refusals.kind(query, answer):
        case "refusal":
            return Opinion.fails(clip(f"The answer refuses: “{_opening(answer)}” Answer, or say what is missing."), 0.9)
        case "question":
            return Opinion.abstains(clip(f"The answer asks back instead of answering: “{_opening(answer)}”"))
    if (how := truncation.cut_off(document, query)) is not None:
        return Opinion.fails(clip(f"The answer is cut off: {how}. Finish it."), 0.8)
    if (wrong := _other_code(query, document)) is not None:
        return Opinion.fails(clip(wrong), 0.85)
    if (wrong := _other_tongue(query, document)) is not None:
        return Opinion.fails(clip(wrong), 0.85)
    if _squeeze(answer) == _squeeze(query) and len(query.split()) >= 4:
        return Opinion.fails("The answer only repeats the question; answer it.", 0.9)
    return _same_subject(query, answer, document)


def _short(answer: str) -> Opinion:
    if any(not char.isspace() for char in answer):
        # An emoji or an operator can be an answer, and is none to most questions.
        return Opinion.abstains("The answer has no word in it.")
    return Opinion.fails("The answer is empty; answer the question.", 1.0)


def _opening(answer: str) -> str:
    return clip(answer, 90)


def _squeeze(text: str) -> str:
    return re.sub(r"\W+", " ", text).strip().lower()


def _other_code(query: str, document: Document) -> str | None:
    """Code was asked for in one language and came in others only, or did not come."""
    wish = asking.wish(query)
    if not wish.code or wish.language is None or wish.language not in TITLES or wish.data is not None:
        return None
    named = {ALIASES[block.info] for block in document.blocks if block.info in ALIASES}
    title = TITLES[wish.language]
    compatible = {wish.language, *_COMPATIBLE.get(wish.language, ())}
    if named and not named & compatible and all(block.info for block in document.blocks):
        others = ", ".join(sorted(TITLES[name] for name in named))
        return f"{title} was asked for and the code is {others}; rewrite it in {title}."
    told = overlap.wants_explanation(query) or re.search(r"\b(?:explain|describe|discuss)\b", query, re.I)
    if not told and not document.blocks and not plain.looks_like_code(document.prose) and "`" not in document.prose:
        return f"{title} code was asked for and the answer has none; give the code."
    if not document.blocks and (code := plain.find(document.prose)) is not None:
        guessed = languages.guess(code.code)
        if guessed is not None and guessed not in compatible and wish.language not in ("html", "css", "sql", "bash"):
            return f"{title} was asked for and the code looks like {TITLES[guessed]}; rewrite it in {title}."
    return None


_COMPATIBLE = {
    "javascript": ("typescript", "html"), "typescript": ("javascript",), "c": ("cpp",), "cpp": ("c",), "css": ("html",),
    "html": ("javascript", "php"), "php": ("html",), "bash": ("python",), "sql": ("python", "php"),
}  # fmt: skip


def _other_tongue(query: str, document: Document) -> str | None:
    """The answer is in another language than the query is, or than the query asks for."""
    prose = document.prose
    if (document.blocks and len(prose.split()) < 20) or plain.find(prose) is not None:
        return None
    found = tongue.identify(prose)
    if found is None:
        return None
    wanted = tongue.asked_for(query)
    if wanted is not None:
        # What is said about a translation may be in the query's own language, as long as the translation is there.
        translated = found.code == wanted or re.search(r"[\"“«:(]", prose)
        return None if translated else _in_other(found, wanted)
    if tongue.is_about_languages(query) or found.code in tongue.mentioned(query):
        return None
    asked_in = tongue.identify(query) or tongue.identify(query + " " + query)
    if asked_in is None or asked_in.code == found.code:
        return None
    return f"The question is in {asked_in.name} and the answer in {found.name}; answer in {asked_in.name}."


def _in_other(found: tongue.Tongue, wanted: str) -> str:
    name = tongue.LANGUAGES[wanted]
    return f"{name} was asked for and the answer is in {found.name}; answer in {name}."


def _same_subject(query: str, answer: str, document: Document) -> Opinion:
    wish = asking.wish(query)
    # The name of the language is no subject of the code: hardly any program says what it is written in.
    asked_in = tongue.identify(query)
    said = overlap.compare(
        query,
        answer,
        without=_NAMES if wish.code else frozenset(),
        language=asked_in.code if asked_in is not None else "en",
    )
    if not said.asked:
        if wish.code and wish.language and wish.language in {ALIASES.get(block.info) for block in document.blocks}:
            return Opinion.passes(f"It is {TITLES[wish.language]} code, as asked.", 0.6)
        return Opinion.abstains("The question names no subject to compare the answer with.")
    if said.shared:
        listed = ", ".join(said.shared[:6])
        share = len(said.shared) / len(said.asked)
        return Opinion.passes(
            clip(
                f"Complete, and on the subject: it takes up {len(said.shared)} of {len(said.asked)} terms ({listed})."
            ),
            round(min(0.9, 0.5 + share / 2), 2),
        )
    listed = ", ".join(said.asked[:6])
    code = wish.code
    unsure = said.touches or overlap.is_list(query, answer) or (overlap.is_open(query) and not code)
    if unsure or len(said.asked) < MIN_ASKED or said.answer_terms < MIN_ANSWER:
        return Opinion.abstains(clip(f"It shares no word with the question ({listed}), which proves nothing here."))
    if overlap.wants_explanation(query) or code or len(said.asked) >= 6:
        return Opinion.fails(
            clip(f"It is about something else: nothing in the answer takes up {listed}. Answer this question."), 0.7
        )
    return Opinion.abstains(
        clip(f"It shares no word with the question ({listed}); whether it answers is for others to say.")
    )
