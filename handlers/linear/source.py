"""Linear as a source of events."""

from handlers.events import Source

linear = Source("linear")
