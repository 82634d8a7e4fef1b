"""Describes the metrics' bodies, which are `typing.TypedDict`s, so that pydantic can read them.

Pydantic wants those of typing_extensions before Python 3.12, and the models need no pydantic.
"""

from functools import cache
from types import UnionType
from typing import Any, Union, get_args, get_origin, get_type_hints, is_typeddict

import typing_extensions


@cache
def described(hint: Any) -> Any:
    """Return the same type, with every TypedDict in it as pydantic reads it."""
    if is_typeddict(hint):
        return combined(hint.__name__, hint.__doc__, hint)
    origin, arguments = get_origin(hint), get_args(hint)
    if origin is None:
        return hint
    known = tuple(described(argument) for argument in arguments)
    return Union[known] if origin in (Union, UnionType) else origin[known]  # noqa: UP007 - built


def combined(name: str, words: str | None, *tables: Any, **fields: Any) -> Any:
    """Return a TypedDict of the fields of others, and of more."""
    hints: dict[str, Any] = {}
    for table in tables:
        hints |= get_type_hints(table)
    known = {field: described(hint) for field, hint in (hints | fields).items()}
    make: Any = typing_extensions.TypedDict
    made = make(name, known)
    made.__doc__ = words
    return made
