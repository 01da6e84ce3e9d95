"""What happens to a file on its way: bits flip, pieces are lost, doubled or moved, numbers become extreme."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from functools import reduce
from typing import Any

from hypothesis import strategies as st

Edit = Callable[[bytes], bytes]
_NUMBERS = (0, 1, -1, 2**7, 2**15, 2**16 - 1, 2**31 - 1, -(2**31), 2**32 - 1, 2**63 - 1, -(2**63), 2**64 - 1)
_ODD = (None, True, -1, 0, 2**63, 1e400, 0.5, "", "../../x", "/etc/passwd", "\0", "x" * 300, [], {}, [[]], {"x": 1})


def mutated(valid: bytes) -> st.SearchStrategy[bytes]:
    """Bytes that are `valid` after one to four accidents, most of them near its beginning or its end."""
    size = len(valid)
    near = st.integers(0, min(size, 160))
    place = st.one_of(near, near.map(lambda back: size - back), st.integers(0, size))
    edit = st.one_of(
        st.builds(_flipped, place, st.integers(0, 7)),
        st.builds(_number, place, st.sampled_from(_NUMBERS), st.sampled_from((1, 2, 4, 8)), st.booleans()),
        st.builds(_inserted, place, st.binary(min_size=1, max_size=12)),
        st.builds(_moved, place, place, st.integers(1, 64)),
        st.builds(_lost, place, st.integers(1, 64)),
        st.builds(_cut, place),
    )
    return st.lists(edit, min_size=1, max_size=4).map(
        lambda edits: reduce(lambda content, do: do(content), edits, valid)
    )


def mutated_json(valid: Any) -> st.SearchStrategy[Any]:
    """A JSON value of which one to three parts are gone or replaced by something odd."""
    places = st.sampled_from(list(_places(valid)))
    edit = st.tuples(places, st.one_of(st.just(_lost), st.sampled_from(_ODD)))
    return st.lists(edit, min_size=1, max_size=3).map(lambda edits: reduce(_replaced, edits, valid))


def mutated_text(valid: Any) -> st.SearchStrategy[bytes]:
    """A JSON file, spoilt as values or as bytes."""
    content = json.dumps(valid, indent=1).encode()
    return st.one_of(mutated(content), mutated_json(valid).map(lambda value: json.dumps(value).encode()))


def _flipped(place: int, bit: int) -> Edit:
    def do(content: bytes) -> bytes:
        return content[:place] + bytes(byte ^ 1 << bit for byte in content[place : place + 1]) + content[place + 1 :]

    return do


def _number(place: int, number: int, wide: int, little: bool) -> Edit:
    written = (number % 2 ** (8 * wide)).to_bytes(wide, "little" if little else "big")
    return lambda content: content[:place] + written + content[place + wide :]


def _inserted(place: int, more: bytes) -> Edit:
    return lambda content: content[:place] + more + content[place:]


def _moved(source: int, target: int, size: int) -> Edit:
    return lambda content: content[:target] + content[source : source + size] + content[target:]


def _lost(place: int, size: int) -> Edit:
    return lambda content: content[:place] + content[place + size :]


def _cut(place: int) -> Edit:
    return lambda content: content[:place]


def _places(value: Any, before: tuple = ()) -> list[tuple]:
    """The ways to all parts of a JSON value but the whole."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [way for key, part in inside for way in ((*before, key), *_places(part, (*before, key)))]


def _replaced(value: Any, edit: tuple[tuple, Any]) -> Any:
    (*way, last), odd = edit
    value = copy.deepcopy(value)
    try:
        holder = reduce(lambda part, key: part[key], way, value)
        if odd is _lost:
            del holder[last]
        else:
            holder[last] = odd
    except (KeyError, IndexError, TypeError):  # an edit before took it away
        pass
    return value
