"""The 14 people and 2 bots of "acme", and when they work."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

ZONE = ZoneInfo("Europe/Berlin")
OPENS, CLOSES = 9, 18
SATURDAY = 5

Cohort = Literal["people", "bots", "agent"]


@dataclass(frozen=True)
class Person:
    """Somebody with a GitHub account; `zone` is the one of their laptop's clock."""

    id: int
    login: str
    name: str
    type: Literal["User", "Bot"] = "User"
    zone: ZoneInfo = ZONE

    @property
    def cohort(self) -> Cohort:
        """People or bots; the story has no agent."""
        return "bots" if self.type == "Bot" else "people"

    @property
    def email(self) -> str:
        """The address GitHub gives those who keep theirs private."""
        return f"{self.id}+{self.login}@users.noreply.github.com"


LISBON = ZoneInfo("Europe/Lisbon")
NEW_YORK = ZoneInfo("America/New_York")
WARSAW = ZoneInfo("Europe/Warsaw")

PEOPLE = (
    Person(7100101, "annika-berg", "Annika Berg"),
    Person(7100233, "jonas-weber", "Jonas Weber"),
    Person(7100347, "mira-kovacs", "Mira Kovács"),
    Person(7100412, "tobias-lang", "Tobias Lang"),
    Person(7100598, "leila-haddad", "Leila Haddad"),
    Person(7100664, "pedro-alves", "Pedro Alves", zone=LISBON),
    Person(7100721, "sofia-marques", "Sofia Marques", zone=LISBON),
    Person(7100856, "kasia-nowak", "Kasia Nowak", zone=WARSAW),
    Person(7100913, "emre-yildiz", "Emre Yildiz"),
    Person(7101022, "hanna-schulz", "Hanna Schulz"),
    Person(7101187, "dave-oconnor", "Dave O'Connor", zone=NEW_YORK),
    Person(7101240, "grace-liu", "Grace Liu", zone=NEW_YORK),
    Person(7101366, "felix-braun", "Felix Braun"),
    Person(7101471, "nina-petrova", "Nina Petrova"),
)
NEWCOMER = PEOPLE[-1]
ADMIN = PEOPLE[0]
DEPENDABOT = Person(49699333, "dependabot[bot]", "dependabot[bot]", "Bot")
RENOVATE = Person(29139614, "renovate[bot]", "renovate[bot]", "Bot")
GITHUB = Person(19864447, "web-flow", "GitHub")


def user(person: Person) -> dict[str, Any]:
    """The account as GitHub writes it into every payload."""
    slug = person.login.removesuffix("[bot]")
    page = f"apps/{slug}" if person.type == "Bot" else person.login
    return {
        "login": person.login,
        "id": person.id,
        "avatar_url": f"https://avatars.githubusercontent.com/u/{person.id}?v=4",
        "url": f"https://api.github.com/users/{person.login}",
        "html_url": f"https://github.com/{page}",
        "type": person.type,
        "site_admin": False,
    }


def working(at: datetime, zone: ZoneInfo = ZONE) -> datetime:
    """The first moment from `at` on in which somebody in `zone` is at work."""
    local = at.astimezone(zone)
    if local.weekday() < SATURDAY and local.hour < OPENS:
        return _opening(local, 0)
    if local.weekday() < SATURDAY and local.hour < CLOSES:
        return at
    days = 1
    while (local + timedelta(days=days)).weekday() >= SATURDAY:
        days += 1
    return _opening(local, days)


def after(at: datetime, hours: float, zone: ZoneInfo = ZONE) -> datetime:
    """`hours` of working time later."""
    at, left = working(at, zone), timedelta(hours=hours)
    while True:
        local = at.astimezone(zone)
        today = local.replace(hour=CLOSES, minute=0, second=0, microsecond=0) - local
        if left < today:
            return at + timedelta(seconds=round(left.total_seconds()))
        left -= today
        at = working(at + today, zone)


def _opening(local: datetime, days: int) -> datetime:
    # A different minute for each date, or everybody would start at nine sharp.
    minute = (local.toordinal() * 7 + days * 13) % 40
    day = (local + timedelta(days=days)).replace(hour=OPENS, minute=minute, second=11)
    return day.astimezone(UTC)
