"""Is a value meant as an example: what people write where a secret would go."""

import math
import re
from collections import Counter

_WORDS = re.compile(
    r"example|sample|placeholder|dummy|fake|your|my[-_]?(?:secret|pass|token|key|api)|change[-_]?(?:me|this|it)|replace"
    r"|insert|redacted|removed|hidden|masked|todo|xxx|\*{3}|\.{3}|…|<|>|\$\{|\{\{|%\(|foo|bar(?![a-z])|test|demo"
    r"|mock|hunter2"
    r"|password|passwd|passphrase|secret|token|api[-_]?key|access[-_]?key|undefined|null|none|string|value|here"
    r"|qwerty|abc123|letmein|admin|user(?:name)?|root|default|process\.env|os\.environ|getenv|n/a",
    re.IGNORECASE,
)
_RUNS = ("0123456789", "abcdefghijklmnopqrstuvwxyz", "9876543210", "zyxwvutsrqponmlkjihgfedcba", "qwertyuiop")
_RUN_LENGTH = 7
"""Letters or digits in sequence that no random secret has: the odds against it are above a million to one."""


def is_placeholder(value: str) -> bool:
    """Whether a value that stands where a secret would is evidently no secret. Linear."""
    if _WORDS.search(value):
        return True
    lowered = value.lower()
    if any(run[at : at + _RUN_LENGTH] in lowered for run in _RUNS for at in range(len(run) - _RUN_LENGTH + 1)):
        return True
    return len(set(lowered)) <= max(3, len(lowered) // 8)


def entropy(value: str) -> float:
    """Shannon entropy in bits a character: about 2.5 for words, 3 to 3.5 for short passwords, above 4 for tokens."""
    if not value:
        return 0.0
    counts = Counter(value)
    return -sum(n / len(value) * math.log2(n / len(value)) for n in counts.values())
