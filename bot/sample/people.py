"""The 14 people and 2 bots of "acme", and when they work."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Literal
from zoneinfo import ZoneInfo

SATURDAY = 5
PRIVATE = "felix-braun"
"""Who keeps an address private, so that an admin has to say whose the account is."""

BERLIN = ZoneInfo("Europe/Berlin")

Cohort = Literal["people", "bots", "agent"]


@dataclass(frozen=True)
class Clock:
    """When somebody works: Monday to Friday between two hours of their own zone."""

    zone: ZoneInfo = BERLIN
    opens: int = 9
    closes: int = 18


OFFICE = Clock()
EARLY, LATE = Clock(opens=7, closes=16), Clock(opens=11, closes=21)
TRAIN = Clock(opens=7, closes=23)
"""When the automation deploys."""
LISBON = Clock(ZoneInfo("Europe/Lisbon"))
NEW_YORK = Clock(ZoneInfo("America/New_York"))
WARSAW = Clock(ZoneInfo("Europe/Warsaw"), opens=8, closes=17)


@dataclass(frozen=True)
class Person:
    """Somebody with a GitHub account."""

    id: int
    login: str
    name: str
    type: Literal["User", "Bot"] = "User"
    clock: Clock = OFFICE

    @property
    def zone(self) -> ZoneInfo:
        """The one of their laptop's clock."""
        return self.clock.zone

    @property
    def cohort(self) -> Cohort:
        """People or bots; the story has no agent."""
        return "bots" if self.type == "Bot" else "people"

    @property
    def email(self) -> str:
        """The address in their commits: GitHub gives one to those who keep theirs private."""
        if self.type == "Bot" or self.login == PRIVATE:
            return f"{self.id}+{self.login}@users.noreply.github.com"
        return self.work_email

    @property
    def work_email(self) -> str:
        """The address at work, which Slack and Linear know."""
        return f"{self.login.replace('-', '.')}@acme.example"


PEOPLE = (
    Person(7100101, "annika-berg", "Annika Berg"),
    Person(7100233, "jonas-weber", "Jonas Weber"),
    Person(7100347, "mira-kovacs", "Mira Kovács"),
    Person(7100412, "tobias-lang", "Tobias Lang", clock=EARLY),
    Person(7100598, "leila-haddad", "Leila Haddad", clock=LATE),
    Person(7100664, "pedro-alves", "Pedro Alves", clock=LISBON),
    Person(7100721, "sofia-marques", "Sofia Marques", clock=LISBON),
    Person(7100856, "kasia-nowak", "Kasia Nowak", clock=WARSAW),
    Person(7100913, "emre-yildiz", "Emre Yildiz", clock=LATE),
    Person(7101022, "hanna-schulz", "Hanna Schulz", clock=EARLY),
    Person(7101187, "dave-oconnor", "Dave O'Connor", clock=NEW_YORK),
    Person(7101240, "grace-liu", "Grace Liu", clock=NEW_YORK),
    Person(7101366, "felix-braun", "Felix Braun", clock=LATE),
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


def working(at: datetime, clock: Clock = OFFICE) -> datetime:
    """The first moment from `at` on that is working time by this clock."""
    local = at.astimezone(clock.zone)
    if local.weekday() < SATURDAY and local.hour < clock.opens:
        return _opening(local, 0, clock)
    if local.weekday() < SATURDAY and local.hour < clock.closes:
        return at
    days = 1
    while (local + timedelta(days=days)).weekday() >= SATURDAY:
        days += 1
    return _opening(local, days, clock)


def after(at: datetime, hours: float, clock: Clock = OFFICE) -> datetime:
    """`hours` of working time later."""
    at, left = working(at, clock), timedelta(hours=hours)
    while True:
        local = at.astimezone(clock.zone)
        today = local.replace(hour=clock.closes, minute=0, second=0, microsecond=0) - local
        if left < today:
            return at + timedelta(seconds=round(left.total_seconds()))
        left -= today
        at = working(at + today, clock)


def _opening(local: datetime, days: int, clock: Clock) -> datetime:
    # A different minute for each date, or everybody would start on the hour.
    minute = (local.toordinal() * 7 + days * 13) % 40
    day = (local + timedelta(days=days)).replace(hour=clock.opens, minute=minute, second=11)
    return day.astimezone(UTC)
