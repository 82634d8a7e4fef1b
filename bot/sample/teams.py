"""The teams of "acme" as GitHub tells them: `team`, `membership`."""

from typing import Any

from bot.sample import payloads
from bot.sample.people import ADMIN, NEWCOMER, PEOPLE, Person, user
from bot.sample.world import Steps, World

API_TEAMS = f"{payloads.API}/organizations/60254171/team"
TEAMS: dict[str, tuple[int, tuple[str, ...], tuple[Person, ...]]] = {
    "Shop": (4410021, ("api", "web"), PEOPLE[:7]),
    "Apps": (4410037, ("mobile",), (*PEOPLE[7:11], PEOPLE[3], PEOPLE[12])),
    "Money": (4410052, ("payments-service", "billing"), (*PEOPLE[10:13], PEOPLE[5])),
}
"""By name: the id, the repositories, the members."""


def found_teams(world: World) -> Steps:
    """Each team is made, gets its members and its repositories."""
    for name, (_, repositories, members) in TEAMS.items():
        yield world.now
        told = {"action": "created", "team": team(name)}
        world.send("team", told, user(ADMIN))
        for person in members:
            join(world, name, person)
        for repo in world.repositories:
            if repo.name in repositories and world.knows(repo):
                told = {"action": "added_to_repository", "team": team(name)}
                world.send("team", told, user(ADMIN), payloads.repository(repo))


def join(world: World, name: str, person: Person) -> None:
    """Somebody becomes a member of a team."""
    body = {"action": "added", "scope": "team", "member": user(person), "team": team(name)}
    world.send("membership", body, user(ADMIN))


def newcomer_joins(world: World) -> None:
    """The newcomer's team."""
    join(world, "Money", NEWCOMER)


def team(name: str) -> dict[str, Any]:
    """A team as GitHub describes it."""
    team_id, slug = TEAMS[name][0], name.lower()
    return {
        "name": name,
        "id": team_id,
        "slug": slug,
        "description": None,
        "privacy": "closed",
        "notification_setting": "notifications_enabled",
        "url": f"{API_TEAMS}/{team_id}",
        "html_url": f"https://github.com/orgs/acme/teams/{slug}",
        "members_url": f"{API_TEAMS}/{team_id}/members{{/member}}",
        "repositories_url": f"{API_TEAMS}/{team_id}/repos",
        "permission": "push",
        "parent": None,
    }
