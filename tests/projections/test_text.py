import json

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from magi.projections.text import array, clean, clean_json, copy_line
from tests.projections.postgres import PostgresServer

TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\x00"), max_size=8)
TRICKY = st.sampled_from(["\\N", "\\", "\t", "a\nb", "\r", "\\.", "{}", '"', "\\t"])
ROWS = st.lists(st.tuples(TEXT | TRICKY | st.none(), st.lists(TEXT | TRICKY, max_size=3)), max_size=30)


@pytest.fixture(scope="module")
def connection(shared_postgres: PostgresServer) -> psycopg.Connection:
    connection = psycopg.connect(shared_postgres.url)
    connection.execute("CREATE TEMP TABLE t (n int, a text, b text[])")
    return connection


@given(rows=ROWS)
def test_rows_come_out_of_postgres_as_they_went_in(
    connection: psycopg.Connection, rows: list[tuple[str, list[str]]]
) -> None:
    with connection.transaction(force_rollback=True):
        with connection.cursor() as cursor, cursor.copy("COPY t FROM STDIN") as copy:
            copy.write("".join(copy_line((n, a, array(b))) for n, (a, b) in enumerate(rows)))
        found = connection.execute("SELECT a, b FROM t ORDER BY n").fetchall()
    assert found == rows


@given(st.recursive(st.none() | st.text() | st.integers(0, 9), lambda i: st.lists(i) | st.dictionaries(st.text(), i)))
def test_json_without_nul_is_unchanged_and_with_one_has_a_replacement(value: object) -> None:
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return
    assert "\x00" not in json.dumps(json.loads(clean_json(value)), ensure_ascii=False)
    if "\x00" not in json.dumps(value, ensure_ascii=False) and "\\u0000" not in json.dumps(value):
        assert json.loads(clean_json(value)) == value


def test_a_nul_is_replaced_and_what_only_looks_like_one_is_not() -> None:
    assert clean("a\x00b") == "a�b"
    assert json.loads(clean_json({"a\x00": ["\x00", "\\u0000"]})) == {"a�": ["�", "\\u0000"]}
