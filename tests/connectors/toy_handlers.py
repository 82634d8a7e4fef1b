"""What follows from what the toy tells: its cards are issues. This is its module of handlers."""

from collections.abc import Iterator
from datetime import datetime

from pydantic import BaseModel

from handlers.events import Decision, Source
from models import Issue

toy = Source("toy")


class Card(BaseModel):
    """A card of the toy's board."""

    number: int
    title: str
    done: bool
    made_at: datetime
    changed_at: datetime


class CardEvent(BaseModel):
    """`card.moved`."""

    card: Card


@toy.on("card")
def card_told(event: CardEvent) -> Iterator[Decision]:
    """A card is an issue, and is completed when it is done."""
    yield card_row(event.card)


def card_row(card: Card) -> Issue:
    """Return the row of a card, however it was told."""
    return Issue(
        id=f"toy:{card.number}",
        changed_at=card.changed_at,
        repository_id="toy:board",
        number=card.number,
        title=card.title,
        state="closed" if card.done else "open",
        created_at=card.made_at,
        closed_at=card.changed_at if card.done else None,
    )
