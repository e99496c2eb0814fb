"""What a query asks for: code, in which language; data, in which format; and how strictly."""

import re

from msgspec import Struct

from magi.voters.builtin.languages import ALIASES

MAX_QUERY = 16_384
"""Characters of the query that are read; the question stands at its beginning or end, not beyond this."""

_NAMES = (
    r"python|javascript|typescript|java|c\+\+|c#|csharp|golang|rust|php|ruby|bash|shell|node\.js|nodejs|html5?|css"
    r"|postgresql|postgres|mysql|sqlite|sql|json|yaml|toml|xml|csv"
)
_CASED = r"Go|C"  # words of English unless they are written so and stand where a language would
_THING = (
    r"(?:program|programme|function|script|code|snippet|class|method|module|implementation|struct|query|statement"
    r"|one-liner|command|package|routine|app|application|file|page|document|component|handler|server|endpoint"
    r"|api|module|interface|template|decorator)s?"
)
_IN = re.compile(
    rf"\b(?:in|using|with|into|to|as|for)\s+(?:the\s+|plain\s+|valid\s+)?(?:({_NAMES})(?!\w)"
    rf"|((?-i:{_CASED}))\b(?![+#]))",
    re.I,
)
_OF = re.compile(rf"(?<![\w.])(?:({_NAMES})|((?-i:{_CASED})))[ -]+(?:\w+[ -]+){{0,2}}?{_THING}\b", re.I)
_ANY = re.compile(rf"(?<![\w.#+-])({_NAMES})(?![\w+#-])", re.I)
_TARGET = re.compile(
    rf"\b(?:in)?to\s+(?:valid\s+|equivalent\s+|idiomatic\s+)*(?:({_NAMES})(?!\w)|((?-i:{_CASED}))\b)", re.I
)

_DATA = frozenset({"json", "yaml", "toml", "xml", "csv"})

_MAKE = (
    r"(?:write|create|generate|implement|give|show|provide|make|build|develop|code|produce|design|need|want|fix"
    r"|rewrite|convert|translate|complete|add|refactor|correct|return|output|respond|answer|reply|format|list|print)"
)
_WANTS_CODE = re.compile(
    rf"\b{_MAKE}\b.{{0,80}}?\b(?:code|function|script|program|class|method|snippet|query|regex|one-liner|command"
    rf"|algorithm|api|endpoint|html|css|sql|component|handler|module|library|dockerfile|makefile|unit tests?)\b",
    re.I,
)
_FORMATS = r"(json|yaml|toml|xml|csv)"
_FORMAT_ASKED = re.compile(
    rf"\b(?:in|as|into|to|using|return|returns|output|produce|respond with|reply with|answer with|give me|only"
    rf"|valid|generate|write|create|provide|make|build|need)\s+"
    rf"(?:me\s+|only\s+|just\s+|valid\s+|strict\s+|pure\s+|plain\s+|raw\s+|an?\s+|the\s+|some\s+|well-formed\s+"
    rf"|sample\s+|simple\s+|small\s+|single\s+|example\s+|minimal\s+)*"
    rf"{_FORMATS}\b(?!\s*(?:parser|library|schema validator|api\b|libraries|web token|path\b|-?to-|\s+to\s))",
    re.I,
)
_ONLY = re.compile(
    r"\b(?:only|nothing else|no (?:prose|explanations?|other text|commentary|markdown|extra text)|just the"
    r"|without (?:any )?(?:explanation|prose|comment))\b",
    re.I,
)
_ABOUT = re.compile(r"\A\W*(?:what|why|when|who|which|explain|describe|compare|is|are|does|do|how|difference)\b", re.I)

_STAGE = re.compile(
    r"\b(?:film|movie|play|monologue|dialogue|video|scene|podcast|radio|tv|sketch|screenplay|actor)s?\b", re.I
)
"""Scripts and programs of another kind."""


class Wish(Struct, frozen=True):
    """What a query wants the answer to be made of."""

    language: str | None = None
    """The programming language that it names, when it names one."""
    code: bool = False
    """It asks for code to be written."""
    data: str | None = None
    """The data format that it asks the answer to be in."""
    only: bool = False
    """It asks for that and nothing around it."""


def wish(query: str) -> Wish:
    """Reads a query. Linear in its length, of which at most 16 KiB are read."""
    text = query if len(query) <= MAX_QUERY else query[: MAX_QUERY // 2] + " " + query[-MAX_QUERY // 2 :]
    question = re.sub(r"```.*?(?:```|\Z)", " ", text, flags=re.S)
    language = _language(question)
    data = _data(question)
    if language is not None and language not in _DATA:
        data = None  # a program was asked for, and it is the program that deals in the format
    code = bool(_WANTS_CODE.search(question)) and not _STAGE.search(question) and language not in _DATA
    return Wish(language, code, data, data is not None and bool(_ONLY.search(question)))


def _language(question: str) -> str | None:
    target = {_name(found) for found in _TARGET.findall(question)}
    if len(target) == 1:
        return target.pop()
    for found in (_OF.findall(question), _IN.findall(question), [(name, "") for name in _ANY.findall(question)]):
        named = {_name(pair) for pair in found}
        code = named - _DATA  # "a Go handler that answers in JSON" is Go
        if len(code or named) == 1:
            best = (code or named).pop()
            if best not in _DATA or not _names_code(question):
                return best
        elif named:
            return None  # several: which of them is meant where, only a reader can tell
    return None


def _name(found: tuple[str, str]) -> str:
    return ALIASES[(found[0] or found[1]).lower()]


def _names_code(question: str) -> bool:
    named = {_name(found) for found in (*_OF.findall(question), *((name, "") for name in _ANY.findall(question)))}
    return len(named - _DATA) == 1


def _data(question: str) -> str | None:
    asked: set[str] = {name.lower() for name in _FORMAT_ASKED.findall(question)}
    if len(asked) != 1:
        return None
    name = asked.pop()
    target = _TARGET.search(question)
    if target is not None and ALIASES[(target[1] or target[2]).lower()] != name:
        return None  # "write JSON to CSV code": the format is what goes in
    if re.search(
        rf"\b(?:function|script|program|class|method|code|handler|endpoint|api|server|service|route|parser|tool"
        rf"|library)\b.{{0,200}}\b{name}\b",
        question,
        re.I | re.S,
    ):
        return None  # the code is asked for, and it is the code that deals in the format
    if (
        _ABOUT.match(question)
        and not _ONLY.search(question)
        and not re.search(rf"\b(?:in|as) {name}\b", question, re.I)
    ):
        return None
    return name
