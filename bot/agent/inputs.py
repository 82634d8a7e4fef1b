"""Reads what a model gave a tool, and says what is wrong with it so that it can do better."""

from collections.abc import Mapping
from typing import Any

KINDS = {str: "a text", int: "a whole number", bool: "true or false", list: "a list"}


class Wrong(Exception):  # noqa: N818 - it is an answer for the model
    """A sentence for the model about what it gave a tool, or what came of it."""


def text(given: Mapping[str, Any], name: str, *, empty: bool = False) -> str:
    """Return a text that must be there; raise `Wrong` where it is not one, or says nothing."""
    told: str = value(given, name, str)
    if not empty and not told.strip():
        raise Wrong(f"`{name}` is empty.")
    return told


def value(given: Mapping[str, Any], name: str, kind: type) -> Any:
    """Return a value that must be there and of a kind, else raise `Wrong`."""
    if given.get(name) is None:
        raise Wrong(f"`{name}` is missing.")
    told = given[name]
    if not isinstance(told, kind) or (kind is int and isinstance(told, bool)):
        raise Wrong(f"`{name}` must be {KINDS[kind]}.")
    return told
