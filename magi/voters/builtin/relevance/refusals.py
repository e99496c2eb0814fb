"""Is an answer a refusal, or no answer at all: an apology, a question back, a placeholder."""

import re
from typing import Literal

MAX_OPENING = 1_200
"""Characters in which a refusal shows itself: it comes first, or it comes instead of everything else."""
SUBSTANCE = 10
"""Words beside the refusal that make an answer of it: "I can't browse, but here is how …" answers, an offer doesn't."""

_CANNOT = (
    r"(?:can(?:no|['’])?t|cannot|can\s+not|am\s+(?:not\s+able|unable)\s+to|['’]m\s+(?:not\s+able|unable)\s+to|(?:am"
    r"|['’]m)\s+not\s+(?:comfortable|allowed|permitted|going\s+to|programmed|designed)|won['’]?t|will\s+not"
    r"|(?:do\s+not|don['’]t)\s+have\s+(?:the\s+(?:ability|capability|capacity)|access|(?:any\s+)?(?:information"
    r"|knowledge)|enough\s+(?:information|context)|the\s+(?:information|context|data)|real[- ]time|personal"
    r"|up-to-date)|must\s+(?:decline|refuse)|have\s+to\s+decline)"
)
_DO = (
    r"(?:\s+(?:to\s+)?(?:help|assist|fulfil\w*|provide|do|answer|comply|create|generate|write|give|complete|continue"
    r"|discuss|share|offer|produce|engage|support|access|browse|perform|process|recommend|respond|make|draw|tell"
    r"|predict|fetch|display|determine|\w+))?"
)
_REFUSAL = re.compile(
    rf"\b(?:I|we)\s*{_CANNOT}{_DO}"
    r"|\b(?:I['’]m\s+(?:very\s+|so\s+)?sorry|I\s+apologi[sz]e|my\s+apologies|sorry"
    r"|unfortunately)[,.]?\s+(?:but\s+)?(?:as\s+an?\s+\w+|I|we|this|that|your|there|it)\b"
    r"|\bas\s+an?\s+(?:AI|artificial\s+intelligence|(?:large\s+)?language\s+model)\b[^.!?\n]{0,60}?(?:\b(?:not"
    r"|cannot|unable|never)\b|n['’]t\b)"
    r"|\b(?:this|that|your|the)\s+(?:request|question|prompt|content)\s+(?:violates|goes\s+against|is\s+against"
    r"|cannot\s+be|can['’]t\s+be)"
    r"|\b(?:against|violat\w+)\s+(?:my|our|the)\s+(?:guidelines|polic(?:y|ies)|programming|principles)"
    r"|\b(?:je\s+suis\s+désolée?|je\s+ne\s+peux\s+pas|lo\s+siento|no\s+puedo|es\s+tut\s+mir\s+leid"
    r"|ich\s+kann\s+(?:\w+\s+){0,3}nicht|desculpe|não\s+posso|mi\s+dispiace|non\s+posso|извините|к\s+сожалению"
    r"|申し訳|抱歉)",
    re.IGNORECASE,
)
_ASKS_BACK = re.compile(
    r"\b(?:please|kindly|could\s+you|can\s+you|would\s+you)\s+(?:please\s+)?(?:provide|specify|clarify|share|give|tell"
    r"|send|paste|upload|rephrase|elaborate)\b"
    r"|\bwhat\s+(?:exactly\s+)?(?:would|do)\s+you\s+(?:like|want|need|mean)\b|\bneed\s+more\s+(?:information"
    r"|details?|context)\b"
    r"|\b(?:no|not|without|missing)\b.{0,40}\b(?:provided|given|specified|attached|included|mentioned)\b",
    re.IGNORECASE,
)
_OFFER = re.compile(
    r"\b(?:how\s+(?:can|may)\s+I\s+(?:help|assist)|let\s+me\s+know|is\s+there\s+anything\s+else|feel\s+free\s+to"
    r"|(?:happy|glad)\s+to\s+help"
    r"|would\s+you\s+like\s+(?:me|help)|I['’]d\s+recommend\s+(?:consulting|contacting|reaching)|(?:consult"
    r"|contact|seek|reach\s+out\s+to)\b.{0,60}\b(?:professional|expert|authorities|help|support)"
    r"|I\s+can\s+(?:only\s+)?(?:help|assist)\s+(?:you\s+)?with|I\s+hope\s+(?:you|this)|\b(?:you|one)\s+(?:can"
    r"|could|may|might|should)\s+(?:\w+ly\s+|always\s+|also\s+|either\s+)?"
    r"(?:refer|search|ask|hire|consult|check|visit|contact|find|try|look|seek|reach|use\s+(?:a|an|the|online"
    r"|various|other))\b|\b(?:please|best\s+to|advisable\s+to|recommended\s+to|suggest|recommend)\s+(?:to\s+"
    r"|that\s+you\s+)?"
    r"(?:\w+ing\b|consult|refer|check|visit|conduct|seek|do|use|try|reach)|\bmy\s+(?:purpose|function|role"
    r"|main)\b|I\s+(?:am|was|['’]m)\s+(?:designed|here|programmed|trained|only|just|an?\s+(?:AI|language)))",
    re.IGNORECASE,
)
_ABOUT_YOU = re.compile(
    r"\b(?:are|were|do|did|can|could|would|will|have|what['’]?s|what\s+is|how\s+are|who\s+are"
    r"|tell\s+me\s+about)\s+(?:you|your(?:self)?)\b"
    r"|\byour\s+(?:favou?rite|opinion|name|view|thoughts?|feelings?|experience|age|limits|limitations)\b"
    r"|\blanguage\s+models?\b|\bchat\s?gpt\b|\b(?:refus|declin|apolog|excus)\w*|\bhow\s+do\s+you\b|\bsay\s+no\b",
    re.IGNORECASE,
)
_QUOTED = re.compile(r"\"[^\"\n]{0,500}\"|“[^”\n]{0,500}”|(?<!\w)'[^'\n]{0,500}'(?!\w)")
_PLACEHOLDER = re.compile(
    r"\A[\W_]*(?:todo|tbd|tba|fixme|n/?a|none|null|undefined|nan|placeholder|coming\s+soon"
    r"|lorem\s+ipsum.{0,2000}|insert\s+(?:your\s+)?(?:answer|text|response)\s+here|your\s+(?:answer|text)\s+here"
    r"|\[object\s+object\]|(?:internal\s+server\s+|unknown\s+)?error\W*(?:\d{3})?|error\s*:.{0,200}"
    r"|traceback\s+\(most\s+recent\s+call\s+last\).{0,4000})[\W_]*\Z",
    re.IGNORECASE | re.DOTALL,
)
# A sentence, or the part of it after the turn: "I can't browse the net, but the usual answer is …".
_CLAUSE = re.compile(r"(?:(?!\b(?:but|however)\b|[.!?](?:\s|$)|\n).)+", re.IGNORECASE)


def placeholder(answer: str, query: str) -> str | None:
    """What stands where the answer should, such as "TODO" or an error message; None otherwise."""
    found = _PLACEHOLDER.match(answer[:6_000]) if len(answer) <= 6_000 else None
    if found is None:
        return None
    word = found[0].strip().split("\n")[0][:40]
    key = word.split()[0].strip("[](){}:.").lower() if word.split() else word
    return None if key and key in query.lower() else word


def kind(query: str, answer: str) -> Literal["refusal", "question"] | None:
    """Whether the answer refuses, or asks back, and does little else; None when it answers (or also answers)."""
    opening = answer[:MAX_OPENING]
    first = _REFUSAL.search(opening)
    if first is None:
        asks = _ASKS_BACK.search(opening)
        return "question" if asks and _rest(answer, _ASKS_BACK) < 12 and "?" + answer[-1:] else None
    if _ABOUT_YOU.search(_QUOTED.sub(" ", query)):
        return None
    if _words(opening[: first.start()]) > SUBSTANCE:
        return None  # the answer came first; this is a remark in it
    rest = _rest(answer, _REFUSAL)
    if rest >= SUBSTANCE or "```" in answer:
        return None
    return (
        "question"
        if _ASKS_BACK.search(opening)
        and not re.search(r"\b(?:can['’]?t|cannot|unable|won['’]?t)\s+(?:help|assist|comply|fulfil)", opening, re.I)
        else "refusal"
    )


def _rest(answer: str, refusing: re.Pattern[str]) -> int:
    """Words in the sentences that neither refuse nor ask back nor offer help."""
    count = 0
    for found in _CLAUSE.finditer(answer[:20_000]):
        sentence = found[0]
        if not (refusing.search(sentence) or _ASKS_BACK.search(sentence) or _OFFER.search(sentence)):
            count += _words(sentence)
    return count


def _words(text: str) -> int:
    return len(re.findall(r"\w+", text))
