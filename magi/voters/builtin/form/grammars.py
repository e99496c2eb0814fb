"""Does code parse in its language: the tree-sitter grammars, and where the first flaw is.

Runs inside the parsing process only (`form/process.py`): on hostile input these parsers have taken gigabytes and
crashed (64 KiB of ``a<a<a<…`` as Java or C#, measured), which no check of the input reliably foresees.
"""

import re
import time
from collections.abc import Callable, Iterator
from functools import cache

from tree_sitter import Language, Node, Parser, Tree

from magi.voters.builtin.form.flaw import Flaw, excerpt

PARSE_SECONDS = 1.0
"""For one attempt. 64 KiB of ordinary code take under 30 ms; only hostile text gets near a second."""

# Agents answer with fragments: a method without its class, statements without a function. Each language lists the
# surroundings in which a fragment is tried, on the same line, so that line numbers stay what they are.
WRAPPINGS: dict[str, tuple[tuple[str, str], ...]] = {
    "javascript": (("", ""), ("(", "\n)"), ("class _ {", "\n}")),
    "typescript": (("", ""), ("(", "\n)"), ("class _ {", "\n}")),
    "java": (("", ""), ("class _ {", "\n}"), ("class _ { void _() {", "\n}}")),
    "c": (("", ""), ("void _() {", "\n}")),
    "cpp": (("", ""), ("void _() {", "\n}"), ("class _ {", "\n};")),
    "csharp": (("", ""), ("class _ {", "\n}"), ("class _ { void _() {", "\n}}")),
    "go": (("", "\n"), ("func _() {", "\n}"), ("type _ struct {", "\n}")),
    "rust": (("", ""), ("fn _() {", "\n}"), ("impl _ {", "\n}"), ("struct _ {", "\n}"), ("match _ {", "\n}")),
    "php": (("", ""), ("class _ {", "\n}")),
    "css": (("", ""), ("_ {", "\n}")),
}
ALONE = (("", ""),)
BRACKETS = {"(": ")", "[": "]", "{": "}"}
OPENERS = {closer: opener for opener, closer in BRACKETS.items()}

# A macro can stand for any syntax. Of 120 system headers a third failed for no other reason.
_MACRO = re.compile(r"(?<![\w\"])[A-Z][A-Z0-9_]{3,}(?![\w\"])|^\s*#")


def _javascript() -> list[object]:
    import tree_sitter_javascript as g

    return [g.language()]


def _typescript() -> list[object]:
    import tree_sitter_typescript as g

    return [g.language_typescript(), g.language_tsx()]


def _php() -> list[object]:
    import tree_sitter_php as g

    return [g.language_php_only(), g.language_php()]


def _module(name: str) -> Callable[[], list[object]]:
    def load() -> list[object]:
        import importlib

        return [importlib.import_module(name).language()]

    return load


_LOADERS: dict[str, Callable[[], list[object]]] = {
    "javascript": _javascript,
    "typescript": _typescript,
    "php": _php,
    "python": _module("tree_sitter_python"),
    "java": _module("tree_sitter_java"),
    "c": _module("tree_sitter_c"),
    "cpp": _module("tree_sitter_cpp"),
    "csharp": _module("tree_sitter_c_sharp"),
    "go": _module("tree_sitter_go"),
    "rust": _module("tree_sitter_rust"),
    "ruby": _module("tree_sitter_ruby"),
    "bash": _module("tree_sitter_bash"),
    "css": _module("tree_sitter_css"),
}
LANGUAGES = frozenset(_LOADERS)


@cache
def _grammars(language: str) -> tuple[Language, ...]:
    return tuple(Language(pointer) for pointer in _LOADERS[language]())


def check(language: str, code: str) -> Flaw | None:
    """The first flaw of `code` in one of `LANGUAGES`, or None when it parses, alone or as a fragment.

    Of several attempts the one that came furthest tells the flaw. Raises TimeoutError when no attempt came to an end.
    """
    grammars = _grammars(language)
    if language == "php":
        grammars = grammars[1:] if "<?" in code else grammars[:1]
    flaws: list[Flaw] = []
    for grammar in grammars:
        for before, after in WRAPPINGS.get(language, ALONE):
            tree = _parse(grammar, before + code + after)
            if tree is None:
                continue
            if not tree.root_node.has_error:
                return None
            flaws.append(_flaw(language, tree, code, len(before.encode())))
    if not flaws:
        raise TimeoutError(f"no attempt at {language} ended within {PARSE_SECONDS} s")
    return max(flaws, key=lambda flaw: (flaw.line, flaw.column)) if len(flaws) > 1 else flaws[0]


def _parse(grammar: Language, text: str) -> Tree | None:
    data = text.encode("utf-8", "replace")
    end = time.monotonic() + PARSE_SECONDS
    # The limit is honoured only when the text is handed over in pieces: it is ignored for one bytes object.
    try:
        return Parser(grammar).parse(
            lambda offset, _point: data[offset : offset + 65536],
            progress_callback=lambda *_: time.monotonic() > end,
        )
    except ValueError:  # "Parsing failed": the limit
        return None


def _flaw(language: str, tree: Tree, code: str, shift: int) -> Flaw:
    # A shell's `case` closes brackets that nothing opened.
    length = 0 if language == "bash" else len(code.encode("utf-8", "replace"))
    unbalanced = _unbalanced(tree.root_node, shift, length)
    node = next(_errors(tree.root_node))
    row, column = node.start_point
    line, column = row + 1, column + 1 - (shift if row == 0 else 0)
    last = max(1, len(code.splitlines()))
    line = min(line, last)
    if unbalanced is not None:
        return unbalanced
    quoted = excerpt(code, line)
    at = f" at `{quoted}`" if quoted else ""
    if language in ("c", "cpp") and _MACRO.search(f"{excerpt(code, line - 1, 400)} {excerpt(code, line, 400)}"):
        return Flaw(line, max(1, column), f"a macro hides the syntax{at}", severity="doubtful")
    if node.is_missing:
        return Flaw(line, max(1, column), f"a `{node.type}` is missing{at}", f"add `{node.type}`")
    return Flaw(line, max(1, column), f"this does not parse{at}", "correct the syntax there")


def _errors(root: Node) -> Iterator[Node]:
    """Errors and missing tokens in the order of the text, innermost first where one error holds another."""
    stack = [root]
    last = root
    found = False
    while stack:
        node = stack.pop()
        if node.is_missing or (node.is_error and not any(child.has_error for child in node.children)):
            found = True
            yield node
        elif node.has_error:
            last = node
            stack.extend(reversed([child for child in node.children if child.has_error or child.is_missing]))
    if not found:
        yield last


def _unbalanced(root: Node, shift: int, length: int) -> Flaw | None:
    """A bracket that is never closed, or closes nothing: the most helpful thing to say about a file that breaks off.

    Brackets are tokens of the tree, so those in strings and comments don't count. Those of the wrapping are skipped.
    """
    opened: list[Node] = []
    cursor = root.walk()
    while True:
        node = cursor.node
        if node is None:
            break
        if node.child_count == 0 and not node.is_missing and shift <= node.start_byte < shift + length:
            if node.type in BRACKETS:
                opened.append(node)
            elif node.type in OPENERS:
                pair = OPENERS[node.type]
                if not any(bracket.type == pair for bracket in opened):
                    return _bracket(node, "closes nothing that is open", "remove it or open its pair", shift)
                if opened[-1].type != pair:
                    return _unclosed(opened[-1], shift)
                opened.pop()
        if cursor.goto_first_child() or cursor.goto_next_sibling():
            continue
        while cursor.goto_parent():
            if cursor.goto_next_sibling():
                break
        else:
            break
    if opened:
        return _unclosed(opened[-1], shift)
    return None


def _unclosed(node: Node, shift: int) -> Flaw:
    return _bracket(node, "is never closed", f"close it with `{BRACKETS[node.type]}`", shift)


def _bracket(node: Node, what: str, fix: str, shift: int) -> Flaw:
    row, column = node.start_point
    return Flaw(row + 1, max(1, column + 1 - (shift if row == 0 else 0)), f"the `{node.type}` {what}", fix)
