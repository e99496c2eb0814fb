"""Code as people show it: with prompts, left-out parts and placeholders, none of which is a mistake."""

import re

_PYTHON_PROMPT = re.compile(r"(?m)^[ \t]*(?:>>>|\.\.\.)(?: |$)")
_SHELL_PROMPT = re.compile(
    r"(?m)^[ \t]*(?:[\w.@~:/-]{0,60}\$|PS [^>\n]{0,60}>|[\w.-]{1,30}@[\w.-]{1,30}[^#$\n]{0,40}[#$]) +(?=\S)"
)
_ALONE = re.compile(r"(?m)^[ \t]*(?:\[?\.\.\.\]?|…|<\.\.\.>|\(\.\.\.\)|\. \. \.)[ \t]*[,;]?[ \t]*$")
_INSIDE = re.compile(r"(?<![\w.)\]])\.\.\.(?![\w.$\[({*&])|…")
_SAID = re.compile(r"(?im)(?:#|//|--|/\*|<!--)\s*(?:\.\.\.|…|(?:rest|remainder|other|existing|your|more|add|etc)\b)")
_PLACEHOLDER = re.compile(
    r"<(?:your|my|the|some|insert|path|name|user|host|port|file|token|key|id|url|package|version"
    r"|(?-i:[A-Z][A-Z_]{2,}))\b[\w .:/-]{0,40}>|\{\{.{0,60}?\}\}|\{%.{0,60}?%\}|\[(?:your"
    r"|insert)\b[^\]\n]{0,40}\]",
    re.I,
)
_DIFF = re.compile(r"(?m)\A(?:diff --git |--- \S|@@ -\d)|^@@ -\d")
_DIFF_LINES = re.compile(r"(?m)^[+-](?![+-])")
_PSEUDO = re.compile(
    r"(?im)^[ \t]*(?:end ?(?:for|if|while|function|procedure)|next \w+|(?:else )?if\b.{1,80}\bthen[ \t]*$|for each\b"
    r"|(?:set|let) \w+ (?:to|be)\b|(?:begin|start|stop)[ \t]*$|repeat until\b|(?:input|output|display|read) \w+[ \t]*$)"
)
_TREE = re.compile(r"[├└│┌┐┘─]")


def is_pseudo_code(code: str) -> bool:
    """Code for people: only to be asked of code whose language nobody declared."""
    return len(_PSEUDO.findall(code)) >= 2 or bool(re.search(r"(?im)^[ \t]*end ?(?:for|if|while)\b", code))


def is_no_code(code: str) -> bool:
    """A diff, a directory tree or a drawing, which no grammar reads, whatever its fence says."""
    lines = code.count("\n") + 1
    return bool(_DIFF.search(code) or _TREE.search(code)) or len(_DIFF_LINES.findall(code)) > max(3, lines // 2)


def without_prompts(language: str, code: str) -> str:
    """A transcript's commands, without its prompts and its output; other code unchanged. Line numbers stay."""
    prompt = {"python": _PYTHON_PROMPT, "bash": _SHELL_PROMPT}.get(language)
    if prompt is None or not prompt.search(code) or (language == "python" and ">>>" not in code):
        return code
    kept: list[str] = []
    continued = False
    for line in code.split("\n"):
        found = prompt.match(line)
        if found:
            line = line[found.end() :]
        elif not continued:
            kept.append("")
            continue
        continued = language == "bash" and line.rstrip().endswith("\\")
        kept.append(line)
    return "\n".join(kept)


def leaves_parts_out(code: str) -> bool:
    """Whether the code says that something is left out or to be filled in."""
    return bool(_ALONE.search(code) or _INSIDE.search(code) or _SAID.search(code) or _PLACEHOLDER.search(code))


def filled_in(language: str, code: str) -> str:
    """The code with left-out parts removed and placeholders replaced by a name. Line numbers stay."""
    text = _PLACEHOLDER.sub("placeholder", code)
    if language == "python":
        # A body of which only a comment is left is an empty body.
        text = re.sub(r"(?m)^([ \t]+)#[^\n]*$", r"\1...", text)
        return text.replace("…", "...")
    return _INSIDE.sub("", _ALONE.sub("", text))
