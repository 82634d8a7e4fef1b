"""One story for all these tests: it takes a second to tell."""

import pytest

from bot.sample.story import Story, story


@pytest.fixture(scope="session")
def told() -> Story:
    """The story `make demo` replays."""
    return story()
