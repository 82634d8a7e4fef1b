"""Commits and what is reachable from them, as git would answer."""

import heapq
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import NamedTuple

from bot.sample.people import Person


class Files(NamedTuple):
    """The paths one commit touches."""

    added: tuple[str, ...] = ()
    removed: tuple[str, ...] = ()
    modified: tuple[str, ...] = ()

    def __or__(self, other: "Files") -> "Files":
        """Both together, each path once."""
        return Files(*(tuple(dict.fromkeys(a + b)) for a, b in zip(self, other, strict=True)))


@dataclass(frozen=True)
class Commit:
    """One commit; `order` grows with creation, so a parent's is always smaller."""

    order: int
    sha: str
    tree: str
    parents: tuple[str, ...]
    message: str
    author: Person
    authored_at: datetime
    committer: Person
    committed_at: datetime
    files: Files


Graph = Mapping[str, Commit]


def between(graph: Graph, bases: Iterable[str], head: str) -> list[Commit]:
    """What is reachable from `head` and from none of `bases`, oldest first: `git log bases..head`.

    Walks from the newest down, so that it stops where both sides meet.
    """
    wanted = {head: True, **dict.fromkeys(bases, False)}
    queue = [-graph[sha].order for sha in wanted]
    at = {graph[sha].order: sha for sha in wanted}
    heapq.heapify(queue)
    found: list[Commit] = []
    open_ = int(wanted[head])
    while open_:
        sha = at[-heapq.heappop(queue)]
        keep = wanted[sha]
        open_ -= keep
        if keep:
            found.append(graph[sha])
        for parent in graph[sha].parents:
            if parent not in wanted:
                wanted[parent] = keep
                open_ += keep
                order = graph[parent].order
                at[order] = parent
                heapq.heappush(queue, -order)
            elif wanted[parent] and not keep:
                wanted[parent] = False
                open_ -= 1
    return found[::-1]


def merge_base(graph: Graph, one: str, other: str) -> Commit | None:
    """The newest commit reachable from both; None when their histories never met."""
    colours = {one: 1}
    colours[other] = colours.get(other, 0) | 2
    queue = [(-graph[sha].order, sha) for sha in colours]
    heapq.heapify(queue)
    while queue:
        _, sha = heapq.heappop(queue)
        if colours[sha] == 3:
            return graph[sha]
        for parent in graph[sha].parents:
            if parent not in colours:
                heapq.heappush(queue, (-graph[parent].order, parent))
            colours[parent] = colours.get(parent, 0) | colours[sha]
    return None
