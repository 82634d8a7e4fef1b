"""The sources that can be asked. A further one is its client, its handlers and a line here."""

from collections.abc import Mapping

from bot.connectors import github, linear, slack
from bot.connectors.protocol import Connector

SOURCES: tuple[Connector, ...] = (github, linear, slack)
CONNECTORS: Mapping[str, Connector] = {each.name: each for each in SOURCES}
