"""Credentials in an answer: tokens whose form gives them away, private keys, passwords in addresses and assignments.

The forms of tokens come from detect-secrets, whose plug-ins' expressions are run on the text in memory, without their
network checks. Its entropy and keyword plug-ins are not used: on prose, hashes and UUIDs they cry wolf. A value counts
by itself only when it is assigned to a name that says it is a secret.
"""

import base64
import binascii
import re
from collections.abc import Iterator
from functools import cache

from detect_secrets.plugins.artifactory import ArtifactoryDetector
from detect_secrets.plugins.aws import AWSKeyDetector
from detect_secrets.plugins.azure_storage_key import AzureStorageKeyDetector
from detect_secrets.plugins.base import RegexBasedDetector
from detect_secrets.plugins.discord import DiscordBotTokenDetector
from detect_secrets.plugins.github_token import GitHubTokenDetector
from detect_secrets.plugins.gitlab_token import GitLabTokenDetector
from detect_secrets.plugins.mailchimp import MailchimpDetector
from detect_secrets.plugins.npm import NpmDetector
from detect_secrets.plugins.pypi_token import PypiTokenDetector
from detect_secrets.plugins.sendgrid import SendGridDetector
from detect_secrets.plugins.slack import SlackDetector
from detect_secrets.plugins.square_oauth import SquareOAuthDetector
from detect_secrets.plugins.stripe import StripeDetector
from detect_secrets.plugins.telegram_token import TelegramBotTokenDetector
from detect_secrets.plugins.twilio import TwilioKeyDetector
from msgspec import Struct

from magi.voters.builtin.safety.finding import Finding
from magi.voters.builtin.safety.placeholders import entropy, is_placeholder
from magi.voters.builtin.text import mask

REVOKE = "remove it and revoke it, since it has left its place"

WINDOW, OVERLAP = 4_000, 600
"""Long lines are scanned in pieces, overlapping by more than any token that is looked for: the plug-ins' expressions
are not all linear, and the pieces keep the worst case found (256 KiB of near-matches) below a second."""


class _Plugin(Struct, frozen=True):
    detector: RegexBasedDetector
    hints: tuple[str, ...]
    """Every match holds one of these, in lower case: without them the expression is not run at all."""


@cache
def _plugins() -> tuple[_Plugin, ...]:
    return (
        _Plugin(AWSKeyDetector(), ("a3t", "abia", "acca", "akia", "asia", "aws")),
        _Plugin(ArtifactoryDetector(), ("akc", "ap")),
        _Plugin(AzureStorageKeyDetector(), ("accountkey",)),
        _Plugin(DiscordBotTokenDetector(), (".",)),
        _Plugin(GitHubTokenDetector(), ("ghp_", "gho_", "ghu_", "ghs_", "ghr_")),
        _Plugin(GitLabTokenDetector(), ("gl", "gr1348941")),
        _Plugin(MailchimpDetector(), ("-us",)),
        _Plugin(NpmDetector(), ("_authtoken",)),
        _Plugin(PypiTokenDetector(), ("pypi-",)),
        _Plugin(SendGridDetector(), ("sg.",)),
        _Plugin(SlackDetector(), ("xox", "hooks.slack.com")),
        _Plugin(SquareOAuthDetector(), ("sq0csp",)),
        _Plugin(StripeDetector(), ("k_live_",)),
        _Plugin(TelegramBotTokenDetector(), (":",)),
        _Plugin(TwilioKeyDetector(), ("ac", "sk")),
    )


# What the plug-ins don't know, or know by an expression that is quadratic.
_FORMS: tuple[tuple[str, re.Pattern[str]], ...] = (
    ("JSON Web Token", re.compile(r"(?<![\w-])eyJ[\w-]{8,1000}\.eyJ[\w-]{8,3000}\.[\w-]{16,1000}")),
    ("GitHub token", re.compile(r"\bgithub_pat_[A-Za-z0-9]{22}_[A-Za-z0-9]{59}\b")),
    ("OpenAI key", re.compile(r"(?<![\w-])sk-(?:proj-|svcacct-)?[A-Za-z0-9_-]{20,160}(?![\w-])")),
    ("Anthropic key", re.compile(r"(?<![\w-])sk-ant-[a-z0-9]{2,8}-[A-Za-z0-9_-]{60,120}(?![\w-])")),
    ("Google API key", re.compile(r"\bAIza[A-Za-z0-9_-]{35}(?![\w-])")),
    ("Hugging Face token", re.compile(r"\bhf_[A-Za-z0-9]{34}\b")),
    ("npm token", re.compile(r"\bnpm_[A-Za-z0-9]{36}\b")),
    ("age secret key", re.compile(r"\bAGE-SECRET-KEY-1[0-9A-Z]{58}\b")),
)
_URL_PASSWORD = re.compile(
    r"\b[a-z][a-z0-9+.-]{1,20}://[^\s:/?#@\"'<>]{0,80}:([^\s/?#@\"'<>]{3,120})@([\w.-]{1,200})", re.I
)
_PRIVATE_KEY = re.compile(r"-----BEGIN (?:[A-Z]{2,10} ){0,3}PRIVATE KEY(?: BLOCK)?-----")
_KEY_BODY = re.compile(r"[A-Za-z0-9+/=]{40,}")
_ASSIGNED = re.compile(
    r"((?:passw(?:or)?d|passphrase|pwd|secret|token|(?:api|access|private|encryption|signing"
    r"|auth)[_-]?key)[\w-]{0,20})[\"']?\s{0,4}(?::=|=>|[:=])\s{0,4}"
    r"(?:[\"'`]([^\"'`\s]{8,200})[\"'`]|([^\s\"'`,;(){}\[\]]{8,200})(?=\s|$))",
    re.IGNORECASE,
)
_NAME_BEFORE = re.compile(r"[\w.-]*\Z")
_NOT_SECRET_NAME = re.compile(
    r"hash|digest|type|url|uri|path|file|field|name|policy|length|count|limit|max|min|expir|regex|pattern|label"
    r"|hint|public|csrf",
    re.I,
)
_REFERENCE = re.compile(
    r"^(?:[A-Za-z_]\w*(?:\.|->|::)\w[\w.()\[\]\"'>:-]*|[A-Z][A-Z0-9_]*|[a-z][a-z_]*|[a-z]+(?:[A-Z][a-z]+)+|/\S*"
    r"|https?://\S*|\$\S+|%\S+|@\S+)$"
)


_INVENTED = re.compile(
    r"\b(?:generat|creat|suggest|invent|mak|pick|giv|think)\w{0,4}\b.{0,60}\b(?:passwords?|passphrases?|tokens?"
    r"|secrets?|keys?)\b",
    re.I,
)
"""A query for a new secret: what stands in the answer is nobody's yet."""


def scan(answer: str, query: str) -> Iterator[Finding]:
    """Every credential in the answer that the query did not already hold. Linear but for `WINDOW`."""
    seen: set[str] = set()
    invented = bool(_INVENTED.search(query))
    for line, text in enumerate(answer.split("\n"), 1):
        for piece in _pieces(text):
            for kind, secret in _line(piece):
                if secret in seen or secret in query or (invented and kind.startswith("value")):
                    continue
                seen.add(secret)
                sure = 0.75 if kind.startswith("value") else 0.95
                yield Finding(line, f"{kind} `{mask(secret)}`", REVOKE, sure)
    yield from _private_keys(answer, query)


def _pieces(text: str) -> Iterator[str]:
    if len(text) <= WINDOW:
        yield text
        return
    for start in range(0, len(text), WINDOW - OVERLAP):
        yield text[start : start + WINDOW]


def _line(text: str) -> Iterator[tuple[str, str]]:
    if len(text) < 12:
        return
    lowered = text.lower()
    for plugin in _plugins():
        if any(hint in lowered for hint in plugin.hints):
            for secret in _matches(plugin.detector, text):
                if _stands_alone(text, secret) and any(c.isdigit() for c in secret) and not _is_example(secret):
                    yield f"a credential ({plugin.detector.secret_type})", secret
    for name, form in _FORMS:
        for found in form.finditer(text):
            if any(c.isdigit() for c in found[0]) and entropy(found[0]) > 3.5 and not _is_example(found[0]):
                yield f"a credential ({name})", found[0]
    if "://" in text:
        for found in _URL_PASSWORD.finditer(text):
            if not is_placeholder(found[1]) and not found[1].startswith(("$", "%", "{")) and entropy(found[1]) > 2:
                yield "a password in an address", found[1]
    for found in _ASSIGNED.finditer(text) if "=" in text or ":" in text else ():
        value = found[2] or found[3]
        before = _NAME_BEFORE.search(text, max(0, found.start() - 40), found.start())
        name = (before[0] if before else "") + found[1]
        if not _NOT_SECRET_NAME.search(name) and _is_secret_value(value, quoted=bool(found[2])):
            yield f"value of `{name}`", value


def _matches(detector: RegexBasedDetector, text: str) -> Iterator[str]:
    """What the plug-in's expressions match: the secret in a group of its own, where they have one, else all of it."""
    for expression in detector.denylist:
        for found in expression.finditer(text):
            groups = [group for group in found.groups() if group and len(group) >= 12]
            yield groups[-1] if groups else found[0]


def _stands_alone(text: str, secret: str) -> bool:
    """A token inside a longer run of letters is part of something else, such as encoded data."""
    at = text.find(secret)
    before, after = text[max(0, at - 2) : at], text[at + len(secret) : at + len(secret) + 2]
    if before[-1:].isalnum() or after[:1].isalnum():
        return False
    return not (_inside_base64(before) or _inside_base64(after[::-1]))


def _inside_base64(two: str) -> bool:
    """Two characters beside a token: a sign of base64 with more of it behind. The slashes of an address have none."""
    return len(two) == 2 and two[1] in "+/" and two[0].isalnum() and "." not in two


def _is_example(secret: str) -> bool:
    if secret.startswith("eyJ"):
        return _is_example_jwt(secret)
    return "EXAMPLE" in secret or is_placeholder(re.sub(r"^(?:sk|rk)_live_|^sk-(?:proj-)?|^xox\w-|^gh\w_", "", secret))


def _is_example_jwt(token: str) -> bool:
    """The token of the tutorials, whose subject is 1234567890 or John Doe."""
    body = token.split(".")[1] if token.count(".") >= 1 else ""
    try:
        claims = base64.urlsafe_b64decode(body + "=" * (-len(body) % 4))
    except (binascii.Error, ValueError):
        return False
    return any(mark in claims for mark in (b"1234567890", b"John Doe", b"example.com"))


def _is_secret_value(value: str, *, quoted: bool) -> bool:
    if is_placeholder(value) or _REFERENCE.match(value):
        return False
    kinds = sum(
        (any(c.islower() for c in value), any(c.isupper() for c in value), any(c.isdigit() for c in value),
         any(not c.isalnum() for c in value))
    )  # fmt: skip
    has_digit = any(c.isdigit() for c in value)
    return has_digit and kinds >= (2 if quoted else 3) and entropy(value) >= 2.8


def _private_keys(answer: str, query: str) -> Iterator[Finding]:
    for found in _PRIVATE_KEY.finditer(answer):
        body = _KEY_BODY.search(answer, found.end(), found.end() + 400)
        if body is None or is_placeholder(body[0][:60]) or body[0] in query:
            continue
        line = answer.count("\n", 0, found.start()) + 1
        yield Finding(line, f"a private key (`{found[0].strip('-')}`)", REVOKE, 0.97)
