"""Telling natural languages apart."""

import pytest

from magi.voters.builtin.relevance import tongue


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("The sea is calm this morning and we are all going to swim in it.", "en"),
        ("La mer est calme ce matin et nous allons tous nager avec les enfants.", "fr"),
        ("Das Meer ist heute ruhig und wir gehen alle mit den Kindern schwimmen.", "de"),
        ("El mar está tranquilo esta mañana y todos vamos a nadar con los niños.", "es"),
        ("Море сегодня спокойное, и мы идём купаться.", "ru"),
        ("Море сьогодні спокійне, і ми йдемо купатися.", "uk"),
        ("今朝の海は穏やかです。", "ja"),
        ("今天早上大海很平静。", "zh"),
        ("오늘 아침 바다는 잔잔합니다.", "ko"),
        ("Paris", None),
        ("1. Ulysses 2. Emma 3. Dracula 4. Walden 5. Beloved 6. Persuasion 7. Middlemarch 8. Nostromo", None),
        ("", None),
    ],
)
def test_prose_has_a_language(text: str, code: str | None):
    found = tongue.identify(text)
    assert (found.code if found else None) == code


def test_code_and_quotations_are_left_out():
    text = "The motto of the city is “fluctuat nec mergitur sed semper in aqua manet”, as everybody here will tell you."
    found = tongue.identify(text)
    assert found is not None
    assert found.code == "en"


@pytest.mark.parametrize(
    ("query", "code"),
    [
        ("Write it in French", "fr"),
        ("Translate this into German please", "de"),
        ("Schreibe einen Satz auf Englisch", "en"),
        ("Tell me about French cuisine", None),
        ("What happened in Spanish history?", None),
        ("Translate it from French to German", "de"),
    ],
)
def test_a_query_can_ask_for_a_language(query: str, code: str | None):
    assert tongue.asked_for(query) == code
