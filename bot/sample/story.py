"""180 days of an invented organisation, from a seed: its deliveries, its truth, its commits.

The same seed and `until` give the same story; no clock is read. Life begins a fortnight before
the first delivery, so that the app arrives among work in progress and a history it never saw.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from types import MappingProxyType
from typing import Any

from bot.sample.graph import Files, Graph
from bot.sample.issues import reports
from bot.sample.organisation import backlog, chores, hire, install, installation, rename, updates
from bot.sample.payloads import repository
from bot.sample.people import PEOPLE, working
from bot.sample.planning import plans
from bot.sample.record import Record, record
from bot.sample.releases import releases
from bot.sample.repositories import PLANS, Plan
from bot.sample.talk import open_channels, quiet_talk
from bot.sample.teams import found_teams
from bot.sample.world import Delivery, Repository, World, commit

WARM_UP = timedelta(days=14)
UNTIL = datetime(2026, 9, 30, 16, 0, tzinfo=UTC)

__all__ = ["UNTIL", "Delivery", "SampleRepository", "Story", "story"]


@dataclass(frozen=True)
class SampleRepository:
    """A repository as the API shows it when the story is over."""

    id: int
    full_name: str
    former_names: tuple[str, ...]
    payload: Mapping[str, Any]
    head: str
    pulls: Mapping[int, tuple[str, ...]]
    """The commits of each pull request as it is now, oldest first."""
    merges: Mapping[str, int]
    """Commits of main → the pull request that brought them (each commit of a rebase too)."""

    def pulls_of(self, sha: str) -> list[int]:
        """The pull requests a commit belongs to, merged or its own."""
        own = (number for number, shas in self.pulls.items() if sha in shas)
        return list(dict.fromkeys([*(n for n in [self.merges.get(sha)] if n), *own]))


@dataclass(frozen=True)
class Story:
    """What truly happened, and what was told of it.

    `deliveries` are GitHub's in their order, `others` those of Slack and Linear; `graph` are the
    commits by repository's name. It ends at `until`, unless it was told on for longer.
    """

    deliveries: tuple[Delivery, ...]
    others: tuple[Delivery, ...]
    record: Record
    graph: Mapping[str, Graph]
    repositories: tuple[SampleRepository, ...]
    installation: Mapping[str, Any]
    start: datetime
    until: datetime

    @property
    def missed(self) -> tuple[Delivery, ...]:
        """GitHub's deliveries from after `until`, in their order."""
        return tuple(delivery for delivery in self.deliveries if delivery.at > self.until)

    @property
    def everything(self) -> tuple[Delivery, ...]:
        """The deliveries of all sources, in the order of time."""
        return tuple(sorted((*self.deliveries, *self.others), key=lambda delivery: delivery.at))


def story(
    seed: int = 7, until: datetime = UNTIL, days: int = 180, *, later: timedelta = timedelta()
) -> Story:
    """Tell it. `until` is aware; nothing happens `later` after it.

    A story that is told on begins as the one that is not.
    """
    until = until.astimezone(UTC).replace(microsecond=0)
    start = until - timedelta(days=days)
    now = start - WARM_UP
    rng, talk = Random(seed), Random(f"{seed}:talk")
    ends = until + later
    world = World(seed=seed, start=start, until=until, ends=ends, now=now, rng=rng, talk=talk)
    world.repositories = [_repository(world, plan) for plan in PLANS]
    _begin(world)
    world.run()
    return Story(
        deliveries=tuple(world.deliveries),
        others=tuple(sorted(world.others, key=lambda delivery: delivery.at)),
        record=record(world),
        graph=MappingProxyType({r.full_name: r.commits for r in world.repositories}),
        repositories=tuple(_sample(world, repo) for repo in world.repositories),
        installation=installation(world),
        start=start,
        until=until,
    )


def _repository(world: World, plan: Plan) -> Repository:
    """With the commits of years that nobody told the app about."""
    late = timedelta(hours=2) if plan is PLANS[-1] else timedelta()
    repo = Repository(
        plan=plan,
        name=plan.former_name or plan.name,
        known_from=world.start + late,
        number=plan.first_number,
        updated_at=world.now,
        pushed_at=world.now,
    )
    old = sorted(world.rng.random() for _ in range(plan.history))
    parents: tuple[str, ...] = ()
    for share in old:
        at = (plan.created_at + (world.now - plan.created_at) * share).replace(microsecond=0)
        author, area = world.rng.choice(PEOPLE[:-1]), world.rng.choice(plan.areas)
        files = Files(modified=(f"{area.folder}/{area.files[0]}",))
        message = f"Work on {world.rng.choice(area.subjects)}"
        parents = (commit(world, repo, parents, message, author, at=at, files=files).sha,)
    repo.head = parents[0]
    return repo


def _begin(world: World) -> None:
    world.spawn(install(world), world.start)
    world.spawn(open_channels(world), world.start + timedelta(minutes=10))
    world.spawn(found_teams(world), world.start + timedelta(hours=3))
    world.spawn(plans(world), world.start + timedelta(minutes=20))
    world.spawn(quiet_talk(world), world.start + timedelta(days=1))
    for repo in world.repositories:
        for process in (backlog, releases, reports, chores, updates):
            world.spawn(process(world, repo), working(world.now))
    third = (world.until - world.start) / 3
    world.spawn(hire(world), working(world.start + third))
    world.spawn(rename(world, world.repositories[-1]), working(world.start + third * 1.4))


def _sample(world: World, repo: Repository) -> SampleRepository:
    former = repo.plan.former_name
    return SampleRepository(
        id=repo.plan.id,
        full_name=repo.full_name,
        former_names=(f"acme/{former}",) if former and former != repo.name else (),
        payload=repository(repo),
        head=repo.head,
        pulls={number: tuple(pr.commits) for number, pr in repo.pulls.items()},
        merges=dict(repo.merges),
    )
