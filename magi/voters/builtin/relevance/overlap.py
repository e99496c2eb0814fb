"""What a query and its answer have in common: the stems of the words that carry a meaning."""

import re
from functools import cache

import Stemmer
import stopwordsiso
from msgspec import Struct

from magi.voters.builtin.languages import ALIASES
from magi.voters.builtin.text import words

MAX_WORDS = 4_000
"""Different words of an answer that are compared."""
MAX_CHARACTERS = 65_536

_WORD = re.compile(r"[^\W_]+(?:['’][^\W\d_]{1,3})?")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])|_")
_STEMMERS = {
    "en": "english", "fr": "french", "de": "german", "es": "spanish", "it": "italian", "pt": "portuguese",
    "nl": "dutch", "sv": "swedish", "da": "danish", "no": "norwegian", "fi": "finnish", "ru": "russian",
    "ro": "romanian", "hu": "hungarian", "tr": "turkish",
}  # fmt: skip

# Words of instructions: they say what to do, not what about, and turn up in no answer.
_INSTRUCTION = words(
    """
    add adjust analyze answer arrange article assess brainstorm bullet calculate categorize choose chunk
    classify code come compare compile complete compose compute concise construct contain convert correct craft
    create decide define delete demonstrate derive describe design detail detect determine develop devise
    discuss draft draw edit elaborate essay estimate evaluate example examine expand explain express extract
    fill find fix following form format formulate function generate give given help highlight identify
    illustrate imagine implement include indicate infer input insert instruction interpret introduce invent item
    keyword length let line list make match mention modify name need note number offer one order outline output
    paragraph paraphrase passage perform phrase pick plan please point predict prepare present print produce
    program prompt propose prove provide put question rank rate read recommend reduce rephrase replace reply
    report represent request respond response rewrite role sample say select sentence show simple simplify
    snippet solve sort specify specific start state statement step story style suggest summarize summary support
    task tell text think title topic transform translate two three four five six seven eight nine ten turn type
    update use user using want way word write written short brief good best top noinput new first each main set
    least possible thing things different various based certain information person people someone something
    """
)
# Function words only: longer lists take "web", "computer" and "world" for empty words.
_EMPTY = words(
    """
    a about above after again against all also always am among an and another any are as at be because been
    before being below between both but by can cannot could did do does doing done down during each either else
    etc ever every few for from further get gets getting go goes got had has have having he her here hers
    herself him himself his how however i if in into is it its itself just let like made make many may me might
    mine more most much must my myself neither never no nor not now of off often on once only onto or other
    others ought our ours ourselves out over own per please quite rather really same shall she should since so
    some still such than that the their theirs them themselves then there these they this those though through
    thus to too toward towards under until up upon us very via was we well were what whatever when where whether
    which while who whom whose why will with within without would yet you your yours yourself i'm i've it's
    don't can't isn't doesn't what's that's let's
    """
)
_LIST_ITEM = re.compile(r"^\s*(?:[-*•+]|\d{1,3}[.)])\s+\S")
_NUMBER = re.compile(r"\b(?:two|three|four|five|six|seven|eight|nine|ten|several|some|\d{1,2})\b", re.IGNORECASE)
_CREATIVE = re.compile(
    r"\b(?:poems?|poetry|haikus?|limericks?|sonnets?|songs?|jingles?|lyrics?|rap|ideas?|gifts?|traits?|stor(?:y"
    r"|ies)|fairy ?tales?|fables?|jokes?|puns?|riddles?|tweets?|slogans?|taglines?|dialogues?|scripts?\s+for"
    r"|monologue|conversation"
    r"|imagine|pretend|role ?play|fiction\w*|novel|scene|character|speech|letter|e-?mail|essay|paragraph"
    r"|sentences?|advertisements?|acrostic|metaphors?|similes?|analog(?:y|ies)|quotes?|captions?|headlines?"
    r"|titles?|names?"
    r"|lists?|examples?|suggest\w*|synonyms?|antonyms?|rhym\w*|words?|random|invent|recipes?|menu|ingredients"
    r"|playlist|summar\w*|paraphras\w*|rewrit\w*|rewrite|translat\w*|classif\w*|categor\w*|convert|sort|correct"
    r"|edit|fix|fill|complete|continue"
    r"|identify|extract|select|choose|predict|https?://|solve|calculate|compute|evaluate|simplify|equation|sum"
    r"|product|encrypt|decrypt|encode|decode|reverse|count)\b",
    re.IGNORECASE,
)
_EXPLAINS = re.compile(
    r"\A\W*(?:(?:can|could|would)\s+you\s+(?:please\s+)?|please\s+|hi[,!.]?\s+|hello[,!.]?\s+)?(?:what|why|how"
    r"|explain|describe|when|where|who|which|compare|discuss|define|tell\s+me|teach|is|are|does|do|should"
    r"|in\s+what)\b",
    re.I,
)


class Overlap(Struct, frozen=True):
    """What the meaningful words of a query are, and which of them the answer takes up."""

    touches: bool
    """The answer takes up some word of the query, if only one of those that say what to do."""
    asked: tuple[str, ...]
    shared: tuple[str, ...]
    answer_terms: int
    """Different meaningful words of the answer."""


def compare(query: str, answer: str, *, without: frozenset[str] = frozenset(), language: str = "en") -> Overlap:
    """Compares by stems, and by the parts of identifiers (`readFile` shares with "read the file").

    Words of `without`, in lower case, are no subject of the query.
    """
    asked = _terms(query[:16_384], language)
    subject = {
        stem: word
        for stem, word in asked.items()
        if word not in _INSTRUCTION and stem not in _instruction_stems() and word not in without
    }
    found = _terms(answer[:MAX_CHARACTERS], language)
    shared = tuple(word for stem, word in subject.items() if _is_in(stem, found))
    touches = bool(shared) or any(_is_in(stem, found) for stem in asked) or _shares_initials(subject, answer, query)
    return Overlap(touches, tuple(subject.values()), shared, len(found))


def _shares_initials(subject: dict[str, str], answer: str, query: str) -> bool:
    """An abbreviation on one side is spelled out on the other: AI and artificial intelligence."""
    for short, long in ((answer[:MAX_CHARACTERS], query[:16_384]), (query[:16_384], answer[:MAX_CHARACTERS])):
        initials = "".join(word[0] for word in _WORD.findall(long)).upper()
        if any(abbreviation in initials for abbreviation in set(re.findall(r"\b[A-Z]{2,6}\b", short))):
            return True
    return False


def is_list(query: str, answer: str) -> bool:
    """Whether the answer is a list of short items, such as names, or of as many as the query names.

    Items need not repeat what they are items of.
    """
    lines = [line for line in answer[:MAX_CHARACTERS].split("\n") if line.strip()]
    items = [line for line in lines if _LIST_ITEM.match(line) or "|" in line]
    if len(items) < max(2, len(lines) * 0.6):
        return False
    return bool(_NUMBER.search(query)) or sum(len(line.split()) for line in items) / len(items) <= 14


def is_open(query: str) -> bool:
    """Whether the task is open, creative, or about transforming a text: a good answer may share no word with it."""
    return bool(_CREATIVE.search(query))


def wants_explanation(query: str) -> bool:
    """Whether the query asks what, how or why: an answer to that takes up the subject."""
    return bool(_EXPLAINS.match(query))


def _terms(text: str, language: str) -> dict[str, str]:
    """Stems with a word of each, in the order of the text."""
    words: dict[str, None] = {}
    stop = _EMPTY if language == "en" else _EMPTY | _stop_words(language)
    for found in _WORD.findall(text):
        whole = found.islower() or found.lower() in ALIASES  # JavaScript is one word
        parts = [found] if whole else [*_CAMEL.split(found), found]
        for part in parts:
            word = part.lower().replace("’", "'").removesuffix("'s")
            if word not in stop and (len(word) > 2 or word.isdigit() or not word.isascii() or part.isupper()):
                words[word] = None
        if len(words) >= MAX_WORDS:
            break
    stemmer = Stemmer.Stemmer(_STEMMERS.get(language, "english"))  # holds state: one a call, for threads
    stems: dict[str, str] = {}
    for stem, word in zip(stemmer.stemWords(list(words)), words, strict=True):
        stems.setdefault(stem, word)
    return stems


def _is_in(stem: str, found: dict[str, str]) -> bool:
    if stem in found:
        return True
    if len(stem) >= 5:  # another form of it, or a compound: photosynthesis, photosynthetic
        head = stem[: max(5, len(stem) - 3)]
        return any(
            other.startswith(head) or (len(other) >= 5 and stem.startswith(other)) or stem in other for other in found
        )
    return False


@cache
def _stop_words(language: str) -> frozenset[str]:
    return frozenset(stopwordsiso.stopwords(language)) if stopwordsiso.has_lang(language) else frozenset()


@cache
def _instruction_stems() -> frozenset[str]:
    return frozenset(Stemmer.Stemmer("english").stemWords(sorted(_INSTRUCTION)))
