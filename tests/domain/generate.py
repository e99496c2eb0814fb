"""Hypothesis strategies: values of msgspec types, read off the types themselves, so that a new field is tested at once.

They generate what JSON would hold, and leave it to `msgspec.convert` to build the type.
"""

import re
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
import msgspec.inspect as inspect
from hypothesis import strategies as st

from magi.domain.messages import Vote

T = TypeVar("T")

VOTERS = ("balthasar", "casper", "melchior", "v-1", "v-2", "v-3", "zoe")
SAID: tuple[Vote | None, ...] = ("pass", "fail", "abstain", None)
"""What a voter can have said; None: nothing."""

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=12)
INTEGERS = st.integers(-(2**63), 2**63 - 1)
# Decimals whose binary sums are not what they look like come up more often than chance would have it.
FLOATS = st.one_of(
    st.sampled_from([0.0, 0.1, 0.2, 0.3, 0.5, 0.7, 1.0, 3.0]), st.floats(allow_nan=False, allow_infinity=False)
)
JSON: st.SearchStrategy[Any] = st.recursive(
    st.none() | st.booleans() | INTEGERS | FLOATS | TEXT,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXT, inner, max_size=3),
    max_leaves=5,
)

panels: st.SearchStrategy[tuple[str, ...]] = st.lists(st.sampled_from(VOTERS), min_size=1, max_size=6, unique=True).map(
    tuple
)


_said = st.lists(st.sampled_from(SAID), min_size=len(VOTERS), max_size=len(VOTERS))


def casts(panel: Sequence[str]) -> st.SearchStrategy[dict[str, Vote]]:
    """Votes of some of the panel's voters, who are at most as many as VOTERS."""
    return _said.map(lambda said: {voter: vote for voter, vote in zip(panel, said, strict=False) if vote})


def instances(kind: type[T]) -> st.SearchStrategy[T]:
    """Values of a type, such as a struct or a union of structs."""
    return documents(kind).map(lambda document: msgspec.convert(document, kind))


def documents(
    kind: Any, text: st.SearchStrategy[str] = TEXT, integers: st.SearchStrategy[int] = INTEGERS
) -> st.SearchStrategy[Any]:
    """What JSON of `kind` holds; strings without a pattern are drawn from `text`, integers from `integers`."""
    return _of(inspect.type_info(kind), text, integers)


def _of(info: inspect.Type, text: st.SearchStrategy[str], integers: st.SearchStrategy[int]) -> st.SearchStrategy[Any]:
    match info:
        case inspect.StructType():
            return _struct(info, text, integers)
        case inspect.UnionType(types=types):
            return st.one_of([_of(t, text, integers) for t in types])
        case inspect.DictType(key_type=key, value_type=value):
            return st.dictionaries(_of(key, text, integers), _of(value, text, integers), max_size=4)
        case inspect.VarTupleType(item_type=item) | inspect.ListType(item_type=item):
            return st.lists(_of(item, text, integers), max_size=4)
        case inspect.LiteralType(values=values):
            return st.sampled_from(values)
        case inspect.StrType():
            least, most, pattern = info.min_length or 0, info.max_length or 10_000, info.pattern or ""
            return text.filter(lambda t: least <= len(t) <= most and bool(re.search(pattern, t)))
        case inspect.IntType():
            return integers.filter(lambda i: _within(info, i))
        case inspect.FloatType(ge=ge, le=le):
            # Of all floats few are within narrow bounds, so those between them are asked for as well.
            floats = FLOATS if ge is None and le is None else FLOATS | st.floats(ge or 0, le or 1)
            return floats.filter(lambda f: _within(info, f))
        case inspect.BoolType():
            return st.booleans()
        case inspect.NoneType():
            return st.none()
        case inspect.AnyType():
            return JSON
    raise NotImplementedError(f"no values of {info} are generated yet: add them here")


def _struct(
    info: inspect.StructType, text: st.SearchStrategy[str], integers: st.SearchStrategy[int]
) -> st.SearchStrategy[dict[str, Any]]:
    tag = {info.tag_field: info.tag} if info.tag_field else {}
    of = {field.encode_name: _of(field.type, text, integers) for field in info.fields}
    required = {field.encode_name: of[field.encode_name] for field in info.fields if field.required}
    optional = {name: values for name, values in of.items() if name not in required}
    return st.fixed_dictionaries(required, optional=optional).map(lambda fields: {**tag, **fields})


def _within(info: inspect.IntType | inspect.FloatType, number: float) -> bool:
    return (
        (info.ge is None or number >= info.ge)
        and (info.gt is None or number > info.gt)
        and (info.le is None or number <= info.le)
        and (info.lt is None or number < info.lt)
    )
