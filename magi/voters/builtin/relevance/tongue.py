"""Which natural language a text is in, and which one a query asks for."""

import re
from functools import cache

import stopwordsiso
from msgspec import Struct
from py3langid.langid import MODEL_FILE, LanguageIdentifier

LANGUAGES = {
    "en": "English", "fr": "French", "de": "German", "es": "Spanish", "it": "Italian", "pt": "Portuguese",
    "nl": "Dutch", "pl": "Polish", "sv": "Swedish", "da": "Danish", "no": "Norwegian", "fi": "Finnish",
    "tr": "Turkish", "cs": "Czech", "ro": "Romanian", "hu": "Hungarian", "id": "Indonesian", "vi": "Vietnamese",
    "ca": "Catalan", "hr": "Croatian", "ru": "Russian", "uk": "Ukrainian", "el": "Greek", "ar": "Arabic",
    "he": "Hebrew", "zh": "Chinese", "ja": "Japanese", "ko": "Korean", "hi": "Hindi", "th": "Thai",
}  # fmt: skip
"""Those that are told apart. Fewer candidates mean fewer mistakes: with all of the model's, lists of English words came
out as Luxembourgish; with these, 4 of 4,507 English answers came out as something else at more than 0.85."""

SURE = 0.97
MIN_WORDS = 8
MAX_CHARACTERS = 4_000
MIN_FUNCTION_WORDS = 0.2
"""Share of a text's words that must be function words of the language it is said to be in: prose has 0.35 and more, and
lists of names, on which identifiers err, hardly any."""

_CODES = {name.lower(): code for code, name in LANGUAGES.items()} | {
    "mandarin": "zh", "castilian": "es", "brazilian portuguese": "pt", "francais": "fr", "français": "fr",
    "deutsch": "de", "español": "es", "espanol": "es", "italiano": "it", "português": "pt", "norsk": "no",
    "japonais": "ja", "anglais": "en", "englisch": "en", "inglés": "en", "französisch": "fr", "spanisch": "es",
    "italienisch": "it", "allemand": "de",
}  # fmt: skip
_NAME = "|".join(sorted(_CODES, key=len, reverse=True))
_ASKED = re.compile(
    rf"\b(?:in|into|to|auf|en|ins)\s+(?:the\s+|formal\s+|simple\s+|plain\s+"
    rf"|informal\s+)?({_NAME})\b(?!-)(?!\s+(?:class|history|literature|grammar|culture|cuisine|speaking|food"
    rf"|army|king|empire|revolution|war|politics|law|economy|market|restaurant|people))",
    re.I,
)
_MENTIONED = re.compile(rf"\b({_NAME})\b", re.I)
_TRANSLATES = re.compile(
    r"\btranslat|\bübersetz|\btradu|\bhow\s+(?:do|would)\s+(?:you|I|one)\s+say\b|\bforeign\b|\blanguages?\b|\blorem\b",
    re.I,
)
_SCRIPTS = (
    ("ja", re.compile("[\u3040-\u30ff]")),
    ("ko", re.compile("[\uac00-\ud7af\u1100-\u11ff]")),
    ("zh", re.compile("[\u4e00-\u9fff]")),
    ("ru", re.compile("[\u0400-\u04ff]")),
    ("el", re.compile("[\u0370-\u03ff]")),
    ("ar", re.compile("[\u0600-\u06ff]")),
    ("he", re.compile("[\u0590-\u05ff]")),
    ("hi", re.compile("[\u0900-\u097f]")),
    ("th", re.compile("[\u0e00-\u0e7f]")),
)
_WORD = re.compile(r"[^\W\d_]+(?:['’][^\W\d_]+)?")
_NOT_PROSE = re.compile(
    r"https?://\S+|`[^`\n]{0,300}`|\"[^\"\n]{0,300}\"|“[^”\n]{0,300}”|«[^»\n]{0,300}»|<[^>\n]{0,200}>"
    r"|[\w.+-]{1,64}@[\w.-]{1,100}"
)


class Tongue(Struct, frozen=True):
    """A natural language by its two-letter code, and how sure that is."""

    code: str
    confidence: float

    @property
    def name(self) -> str:
        return LANGUAGES[self.code]


@cache
def _identifier() -> LanguageIdentifier:
    identifier = LanguageIdentifier.from_model_file(MODEL_FILE, norm_probs=True)
    identifier.set_languages(list(LANGUAGES))
    return identifier


@cache
def _function_words(code: str) -> frozenset[str]:
    return frozenset(stopwordsiso.stopwords(code)) if stopwordsiso.has_lang(code) else frozenset()


def identify(text: str) -> Tongue | None:
    """The language of the text's prose, or None when it is too short or too unlike prose to be told.

    Code, quotations, addresses and marks are left out. Reads the first 4,000 characters.
    """
    prose = _NOT_PROSE.sub(" ", text[: 2 * MAX_CHARACTERS])[:MAX_CHARACTERS]
    letters = sum(char.isalpha() for char in prose)
    for code, script in _SCRIPTS:
        count = len(script.findall(prose))
        if code == "zh" and count and _SCRIPTS[0][1].search(prose):
            continue
        if letters and count / letters > 0.5 and count >= 6:
            return Tongue(_refine(code, prose), 0.99)
        if code == "ja" and letters and count / letters > 0.15 and count >= 4:
            return Tongue("ja", 0.99)
    words = [word.lower() for word in _WORD.findall(prose)]
    if len(words) < MIN_WORDS:
        return None
    code, confidence = _identifier().classify(" ".join(words))
    if confidence < SURE or _share(words, code) < max(MIN_FUNCTION_WORDS, 0.8 * _share(words, "en")):
        return None
    return Tongue(code, float(confidence))


def _refine(code: str, prose: str) -> str:
    """Ukrainian shares Russian's script and has letters of its own."""
    return "uk" if code == "ru" and re.search("[іїєґІЇЄҐ]", prose) else code


def _share(words: list[str], code: str) -> float:
    known = _function_words(code)
    return sum(word in known for word in words) / len(words)


def asked_for(query: str) -> str | None:
    """The code of the language that the query wants its answer in, when it says so."""
    found = {_CODES[name.lower()] for name in _ASKED.findall(query[:4_000])}
    return found.pop() if len(found) == 1 else None


def mentioned(query: str) -> frozenset[str]:
    """The languages that the query names, in whatever way."""
    return frozenset(_CODES[name.lower()] for name in _MENTIONED.findall(query[:16_000]))


def is_about_languages(query: str) -> bool:
    """Whether the query is about translating or about languages: an answer may then hold any of them."""
    return bool(_TRANSLATES.search(query[:16_000]))
