"""Who is one person: accounts at GitHub, Slack and Linear, joined by e-mail and by hand."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from models.people import GITHUB_ACCOUNT

IDENTITIES = text("""
    select i.id, i.source, i.account, i.name, i.email, i.bot, m.person_id
      from identities i left join identity_merges m
        on m.identity_id = i.id and m.organization_id = i.organization_id
     where i.organization_id = :organization_id order by i.id
""")

MERGE = text("""
    insert into identity_merges (identity_id, person_id, organization_id, by)
    values (:identity_id, :person_id, :organization_id, :by)
        on conflict (identity_id)
        do update set person_id = excluded.person_id, by = excluded.by, at = now()
""")
UNMERGE = text("""
    delete from identity_merges
     where identity_id = :identity_id and organization_id = :organization_id
""")


@dataclass(frozen=True)
class Account:
    """One identity: `id` is `<organisation>/<account>`; `merged_into`: said by hand, else None."""

    id: str
    source: str
    account: str
    name: str | None
    email: str | None
    bot: bool
    merged_into: str | None = None


@dataclass(frozen=True)
class Person:
    """Somebody, and their accounts; `id` is that of one of their identities."""

    id: str
    name: str
    accounts: tuple[Account, ...]

    @property
    def emails(self) -> frozenset[str]:
        """The addresses of all accounts."""
        return frozenset(account.email for account in self.accounts if account.email)


@dataclass(frozen=True)
class Persons:
    """The persons of an organisation, by name, and its bots, which are none."""

    organization_id: str
    people: tuple[Person, ...] = ()
    bots: tuple[Account, ...] = ()

    @property
    def by_account(self) -> Mapping[str, Person]:
        """Whose each account is."""
        return {each.account: person for person in self.people for each in person.accounts}

    @property
    def identities(self) -> frozenset[str]:
        """The ids of everybody's accounts."""
        return frozenset(each.id for person in self.people for each in person.accounts)

    def accounts_of(self, accounts: Iterable[str]) -> frozenset[str]:
        """Return some accounts with all others of the same persons."""
        known, told = self.by_account, frozenset(accounts)
        owners = [known[account] for account in told if account in known]
        return told | {each.account for person in owners for each in person.accounts}

    def with_email(self, email: str) -> frozenset[str]:
        """Return the accounts of whoever has an e-mail address."""
        wanted = email.strip().lower()
        found = [person for person in self.people if wanted in person.emails]
        return frozenset(each.account for person in found for each in person.accounts)

    @property
    def joined(self) -> Mapping[str, str]:
        """Return account to person, only where somebody has several: others are their own."""
        several = [person for person in self.people if len(person.accounts) > 1]
        return {each.account: person.id for person in several for each in person.accounts}


async def persons(db: AsyncConnection, organization_id: str) -> Persons:
    """Return who is who in an organisation; what an admin said by hand wins over e-mail."""
    rows = await db.execute(IDENTITIES, {"organization_id": organization_id})
    accounts = [Account(*row) for row in rows]
    people: dict[str, list[Account]] = {}
    owner = owners([account for account in accounts if not account.bot])
    for account in accounts:
        if not account.bot:
            people.setdefault(owner[account.id], []).append(account)
    named = [Person(key, name_of(held), tuple(held)) for key, held in people.items()]
    return Persons(
        organization_id,
        tuple(sorted(named, key=lambda person: (person.name.lower(), person.id))),
        tuple(account for account in accounts if account.bot),
    )


def owners(accounts: Iterable[Account]) -> dict[str, str]:
    """Return whose each identity is: its own, that of its e-mail, or what was said by hand.

    One that is merged into another follows it wherever that belongs; in a circle of such words
    the least of its identities is the person.
    """
    by_id = {account.id: account for account in accounts}
    first_of: dict[str, str] = {}
    for account in by_id.values():
        if account.email and account.merged_into is None:
            first_of[account.email] = min(first_of.get(account.email, account.id), account.id)
    return {key: followed(account, by_id, first_of) for key, account in by_id.items()}


def followed(account: Account, by_id: Mapping[str, Account], first_of: Mapping[str, str]) -> str:
    """Return the person that an identity leads to."""
    way = [account.id]
    while (into := account.merged_into) and into in by_id and into != account.id:
        account = by_id[into]
        if account.id in way:
            return min(way[way.index(account.id) :])
        way.append(account.id)
    if account.merged_into is None and account.email:
        return first_of[account.email]
    return account.id


def name_of(accounts: Iterable[Account]) -> str:
    """Return what a person is called: by GitHub's login where there is one, else by a name."""
    held = sorted(accounts, key=lambda account: (account.source != "github", account.id))
    if held[0].source == "github":
        return held[0].account.removeprefix(GITHUB_ACCOUNT)
    return next((account.name for account in held if account.name), held[0].account)


async def merge(
    db: AsyncConnection, persons: Persons, identity_id: str, person_id: str, by: str
) -> None:
    """Keep that an admin said whose an account is; itself: it is kept apart."""
    bound = {"identity_id": identity_id, "person_id": person_id, "by": by}
    await db.execute(MERGE, bound | {"organization_id": persons.organization_id})


async def unmerge(db: AsyncConnection, organization_id: str, identity_id: str) -> bool:
    """Forget what was said by hand of an account; tell whether anything was."""
    bound = {"identity_id": identity_id, "organization_id": organization_id}
    return bool((await db.execute(UNMERGE, bound)).rowcount)
