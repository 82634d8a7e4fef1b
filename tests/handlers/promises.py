"""What the handlers of every source promise: they say what they mean, in sentences."""

import inspect
from collections.abc import Callable, Iterable
from typing import Any

from pydantic import BaseModel

from handlers.events import Decided, Source


def handlers_say_what_they_mean(source: Source) -> None:
    """Each registered handler, and the model it reads, has a docstring."""
    for name, registered in source.handlers.items():
        for handler, model in registered:
            assert inspect.getdoc(handler), name
            assert inspect.getdoc(model), name


def module_is_documented(module: Any) -> None:
    """The module and all that it defines has a docstring of its own."""
    assert module.__doc__
    for name, found in vars(module).items():
        ours = getattr(found, "__module__", "") == module.__name__
        if ours and (inspect.isfunction(found) or inspect.isclass(found)):
            assert found.__doc__, name
            assert found.__doc__ != BaseModel.__doc__, name


def notes_are_sentences(
    source: Source,
    story: Iterable[tuple[str, dict[str, Any]]],
    decided: Callable[[str, dict[str, Any]], Decided],
) -> None:
    """What is decided of a story in words, and why events are ignored, is one sentence each."""
    said = [each for event, body in story for each in decided(event, body).says]
    notes = {each["note"] for each in said if "note" in each}
    for sentence in notes | set(source.ignored.values()):
        assert sentence.endswith(".")
        assert "\n" not in sentence
