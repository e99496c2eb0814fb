"""Commands in an answer that destroy, expose or take over the machine of a reader who runs them."""

import re
from collections.abc import Iterator

from msgspec import Struct

from magi.voters.builtin.safety.finding import Finding
from magi.voters.builtin.text import clip

MAX_LINE = 2_000
"""Characters of a line that are read: each expression is bounded, and a command is at the start of what a line does."""


class Danger(Struct, frozen=True):
    what: str
    fix: str
    pattern: re.Pattern[str]
    allowed: re.Pattern[str] | None = None
    """A query that matches this has asked for it."""


def _danger(what: str, fix: str, pattern: str, allowed: str | None = None) -> Danger:
    return Danger(what, fix, re.compile(pattern, re.I), re.compile(allowed, re.I) if allowed else None)


_RM = (
    r"\brm\s+(?:-{1,2}[\w=-]{1,30}\s+){0,4}-{1,2}(?:r\w{0,4}|\w{0,3}r\w{0,3}"
    r"|recursive)\b(?:\s+-{1,2}[\w=-]{1,30}){0,4}\s+(?:--\s+)?[\"']?"
)
_TRUSTED = (
    r"sh\.rustup\.rs|get\.docker\.com|raw\.githubusercontent\.com/(?:Homebrew|nvm-sh)/|astral\.sh/|deno\.land/"
    r"|bun\.sh/|install\.python-poetry\.org|get\.helm\.sh|raw\.githubusercontent\.com/helm/|get\.k3s\.io"
    r"|deb\.nodesource\.com|ohmyz|starship\.rs|tailscale\.com"
)
_DELETES = (
    r"\b(?:drop|delet|remov|truncat|reset|wip(?:e|ing)|clean|clear|empty|purge|recreate|tear ?down|rollback|migrat"
    r"|destroy)"
)

DANGERS: tuple[Danger, ...] = (
    _danger(
        "deletes the whole system or home directory",
        "name the one directory that is meant",
        _RM + r"(?:/(?=[\s\"';&|)]|$)|/\*|~/?(?=[\s\"';&|)]|$)|~/\*|\$\{?HOME\}?/?(?=[\s\"';&|)]|$)|/(?:etc|usr|bin"
        r"|boot|var|lib|home|root|sbin|opt)/?(?=[\s\"';&|)*]|$)|\*(?:\s|$))"
        r"|\brm\b.{0,60}--no-preserve-root",
    ),
    _danger(
        "deletes the whole file system",
        "name the one directory that is meant",
        r"\brmtree\(\s*[\"'](?:/|~|C:\\+)[\"']|\bfind\s+/\s.{0,80}-delete\b"
        r"|\bRemove-Item\b.{0,60}[\"' ](?:[A-Z]:\\|/)(?:\*|[\"']|\s|$)|\b(?:del|rd"
        r"|rmdir)\s+(?:/[sqf]\s+){1,3}[\"']?[A-Z]:\\(?:\*|\s|[\"']|$)",
    ),
    _danger(
        "overwrites a disk",
        "remove it, or name a file and not a device",
        r"\bdd\b.{0,120}\bof=/dev/(?:[sh]d[a-z]|nvme|vd[a-z]|mmcblk|disk\d)"
        r"|(?<![0-9&2])>\s{0,3}/dev/(?:[sh]d[a-z]|nvme\d|vd[a-z])|\b(?:cat|shred"
        r"|wipefs)\b.{0,80}/dev/(?:[sh]d[a-z]|nvme\d)",
        r"\b(?:bootable|flash|image|clone|wipe|erase|shred|dd)\b",
    ),
    _danger(
        "formats a disk",
        "remove it, or warn and name the device",
        r"\bmkfs(?:\.\w{2,6})?\s.{0,60}/dev/|\bformat\s+[a-z]:\s*(?:/|$)|\bdiskpart\b.{0,60}\bclean\b",
        r"\b(?:format|partition|mkfs|file ?system|disk|drive|usb|volume)\b",
    ),
    _danger(
        "is a fork bomb",
        "remove it",
        r":\s*\(\s*\)\s*\{\s*:\s*\|\s*:\s*&\s*\}\s*;\s*:|\bos\.fork\(\)\s*while\b|\bwhile\s+(?:True"
        r"|1)\s*:\s*os\.fork\(\)|%0\s*\|\s*%0",
    ),
    _danger(
        "runs whatever a server sends",
        "download it, read it, then run it",
        r"\b(?:curl|wget)\b(?![^|;\n]{0,200}(?:"
        + _TRUSTED
        + r"))[^|;\n]{0,300}\|\s*(?:sudo\s+(?:-\w+\s+)?)?(?:/\w+/)?(?:ba|z|da|k)?sh\b|\b(?:ba"
        r"|z)?sh\s+(?:-c\s+)?[\"']?(?:<\(|\$\()\s*(?:curl|wget)\b(?![^)\n]{0,200}(?:"
        + _TRUSTED
        + r"))|\b(?:curl|wget)\b[^|;\n]{0,300}\|\s*(?:sudo\s+)?(?:python[23]?|perl|ruby|node)\b|\b(?:iex"
        r"|invoke-expression)\b.{0,80}(?:downloadstring|\biwr\b|\birm\b|invoke-webrequest)"
        r"|\bpowershell(?:\.exe)?\b.{0,80}\s-e(?:nc|ncodedcommand)?\s+[A-Za-z0-9+/=]{40}",
    ),
    _danger(
        "opens a shell to another machine",
        "remove it",
        r"\b(?:ba|z|da)?sh\s+-i\b.{0,40}/dev/(?:tcp|udp)/|\b(?:nc|ncat"
        r"|netcat)\b.{0,80}\s-\w{0,4}[ec]\s+[\"']?(?:/bin/)?(?:ba|z)?(?:sh|cmd|powershell)"
        r"|\bmkfifo\b.{0,120}\b(?:nc|ncat|netcat)\b|socket\.socket\(.{0,400}(?:dup2|pty\.spawn|/bin/(?:ba)?sh)"
        r"|\bsocat\b.{0,120}exec:[\"']?(?:/bin/)?(?:ba)?sh",
    ),
    _danger(
        "gives everybody all rights to the system",
        "grant what is needed on the file that needs it",
        r"\bchmod\s+(?:-{1,2}[\w-]{1,20}\s+){0,3}(?:-R|--recursive)\s+(?:a\+rwx|0?777)\s+[\"']?/(?:\s|$|[\"';&]"
        r"|etc|usr|var|home|bin|lib)|\bchmod\s+(?:0?777|a\+rwx)\s+(?:-R|--recursive)\s+[\"']?/(?:\s|$)"
        r"|\bchmod\s+0?[67]66\s+/etc/(?:passwd|shadow|sudoers)|\bchown\s+-R\s+\S{1,60}\s+/(?:\s|$)",
    ),
    _danger(
        "gives away administrator rights",
        "grant the one command that is needed",
        r"\bALL\s*=\s*\(ALL(?::ALL)?\)\s*NOPASSWD\s*:\s*ALL\b.{0,40}(?:sudoers|>>)"
        r"|\becho\b.{0,100}NOPASSWD.{0,60}/etc/sudoers",
        r"\bsudo|passwordless|password-less\b",
    ),
    _danger(
        "turns off the check of certificates",
        "keep it, and add the certificate that is missing",
        r"\bverify\s*=\s*False\b|\bcurl\b[^|;\n]{0,120}\s(?:-k|--insecure)\b"
        r"|\bwget\b[^|;\n]{0,120}--no-check-certificate|NODE_TLS_REJECT_UNAUTHORIZED[\"'\]]{0,2}\s*[=:]\s*[\"']?"
        r"0|\bInsecureSkipVerify\s*:\s*true|\brejectUnauthorized\s*:\s*false|_create_unverified_context"
        r"|\bssl\.CERT_NONE\b|http\.sslVerify[\"']?[\s=]+[\"']?false|CURLOPT_SSL_VERIFY(?:PEER"
        r"|HOST)\s*,\s*(?:false|0)|\bdisable_warnings\(.{0,60}InsecureRequestWarning"
        r"|danger_accept_invalid_certs\(true\)|\bstrict-ssl\s+false",
        r"self[- ]?signed|insecure|certificate|\bssl\b|\btls\b|verif",
    ),
    _danger(
        "turns off a protection of the system",
        "open the one port or path that is needed",
        r"\bufw\s+disable\b|\biptables\s+(?:-F|--flush)\b|\bsetenforce\s+0\b|\bSELINUX\s*=\s*disabled\b"
        r"|\bsystemctl\s+(?:stop|disable|mask)\s+(?:--now\s+)?(?:firewalld|ufw|apparmor|auditd)"
        r"|\bnetsh\s+advfirewall\s+set\s+\w{0,20}\s+state\s+off"
        r"|\bSet-MpPreference\b.{0,60}-Disable\w{0,30}\s+\$?true|\bcsrutil\s+disable\b"
        r"|\bspctl\s+--master-disable",
        r"firewall|iptables|ufw|selinux|defender|apparmor|sip\b|gatekeeper",
    ),
    _danger(
        "overwrites a shared branch",
        "push to a branch of your own, or use --force-with-lease after agreeing",
        r"\bgit\s+push\s+(?:[\w./-]{1,60}\s+){0,3}(?:-f|--force)(?!-with)\b[^\n;&|]{0,60}\b(?:main|master"
        r"|release|production|develop)\b|\bgit\s+push\s+[^\n;&|]{0,60}\b(?:main|master"
        r"|production)\b[^\n;&|]{0,30}\s(?:-f|--force)(?!-with)\b|\bgit\s+push\s+\S{1,40}\s+\+(?:main|master)\b",
        r"force|overwrite|rewrite|history",
    ),
    _danger(
        "deletes a database or all of its rows",
        "restrict it, or make sure that it was asked for",
        r"\bDROP\s+(?:DATABASE|SCHEMA)\s+(?:IF\s+EXISTS\s+)?[\w\"`\[.]"
        r"|\bTRUNCATE\s+(?:TABLE\s+)?[\w\"`\[.]{2,60}\s*(?:;|,|$|CASCADE|RESTART)"
        r"|\bDROP\s+TABLE\s+(?!IF\s+EXISTS)[\w\"`\[.]|\bDELETE\s+FROM\s+[\w\"`\[\].]{1,80}\s*;"
        r"|\b(?:dropDatabase\(\)|FLUSHALL\b)",
        _DELETES,
    ),
    _danger(
        "exposes the machine to the network without a password",
        "require authentication",
        r"\b(?:PermitEmptyPasswords|PermitRootLogin)\s+yes\b|\bPGPASSWORD=\s"
        r"|host\s+all\s+all\s+0\.0\.0\.0/0\s+trust\b|\bxhost\s+\+(?:\s|$)",
        r"root login|permitrootlogin|trust",
    ),
    _danger(
        "stops every process or the machine",
        "name the one process that is meant",
        r"\bkill\s+-(?:9|KILL)\s+-1\b|\bcrontab\s+-r\b|\bpkill\s+-9\s+-u\s+root\b|>\s{0,3}/etc/(?:passwd|shadow"
        r"|sudoers|fstab)\b",
        r"crontab|cron",
    ),
)
_WARNED = re.compile(
    r"\b(?:never|don['’]?t|do\s+not|must\s+not|should\s+not|shouldn['’]t|avoid|beware|refuse|dangerous"
    r"|destructive|harmful|malicious|catastroph\w*|warning|caution|careful"
    r"|instead\s+of|rather\s+than|unsafe|insecure|vulnerab\w*|bad\s+(?:idea|practice)"
    r"|wipes?\s+(?:out\s+)?(?:your|the)\s+(?:entire|whole)|what\s+not\s+to|attacker|exploit|#\s*bad\b|✗|❌)",
    re.I,
)
_WARNED_LINES = 2
"""Lines before a command in which a warning covers it: what a reader reads just before it."""


def scan(answer: str, query: str, unfenced: frozenset[int]) -> Iterator[Finding]:
    """Dangerous commands that the answer does not warn of and the query did not name.

    `unfenced` are the lines (from 1) of prose: a warning on the same line counts there, in code only a comment does.
    """
    asked = query.lower()
    lines = answer.split("\n")
    for danger in DANGERS:
        if danger.allowed is not None and danger.allowed.search(query):
            continue
        for number, text in enumerate(lines, 1):
            found = danger.pattern.search(text[:MAX_LINE])
            if found is None or _squeeze(found[0]) in _squeeze(asked) or _is_asked(found[0], asked):
                continue
            if not _is_warned(lines, number, unfenced):
                shown = clip(found[0], 70)
                yield Finding(number, f"`{shown}` {danger.what}", danger.fix, 0.9)
                break


def _squeeze(text: str) -> str:
    return " ".join(text.lower().split())


def _is_asked(command: str, query: str) -> bool:
    """The query is about this command: it names the program together with its most telling argument."""
    words = _squeeze(command).split()[:2]
    return len(words) == 2 and " ".join(words) in _squeeze(query)


def _is_warned(lines: list[str], number: int, unfenced: frozenset[int]) -> bool:
    before = [text for text in lines[: number - 1] if text.strip() and not text.lstrip().startswith(("```", "~~~"))]
    near = [lines[number - 1]] if number in unfenced or re.search(r"#|//|--\s", lines[number - 1]) else []
    return any(_WARNED.search(text[:MAX_LINE]) for text in near + before[-_WARNED_LINES:])
