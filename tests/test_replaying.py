"""`replay`: deliveries decided once more, and recordings that are read or refused."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from fakeredis import FakeAsyncRedis
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncEngine

from bot.jobs import Surroundings
from bot.replaying import Recorded, again, from_file, owned, recording
from bot.settings import Settings
from bot.vault import Vault
from models.errors import Refused
from models.organizations import Organization
from models.store import remember

RECORDED = Path(__file__).parent / "payloads" / "github.ndjson"
PING = {"zen": "Keep it logically awesome.", "hook_id": 1}

ACME = {"id": 9, "login": "acme"}

store = pytest.mark.store


@pytest.fixture
def surroundings(settings: Settings, engine: AsyncEngine) -> Surroundings:
    return Surroundings(settings, engine, FakeAsyncRedis(), Vault(settings.secret_keys))


def silent(done: int, total: int) -> None:
    """Heed no progress."""


def line(event: str, body: Any, delivery_id: str | None = None) -> str:
    headers = {"X-GitHub-Event": event}
    if delivery_id:
        headers["X-GitHub-Delivery"] = delivery_id
    return json.dumps({"headers": headers, "body": body})


def written(folder: Path, *lines: str | bytes) -> Path:
    path = folder / "recorded.ndjson"
    raw = (each if isinstance(each, bytes) else each.encode() for each in lines)
    path.write_bytes(b"\n".join(raw))
    return path


def read(folder: Path, *lines: str | bytes) -> Sequence[Recorded]:
    return list(recording(written(folder, *lines)))


def test_a_recording_is_one_delivery_a_line(tmp_path: Path) -> None:
    found = read(tmp_path, line("ping", PING, "one"), "", line("push", '{"as": "text"}', "two"))
    assert [(each.event, each.delivery_id) for each in found] == [("ping", "one"), ("push", "two")]
    assert json.loads(found[0].body) == PING
    assert found[1].body == b'{"as": "text"}'


def test_a_delivery_without_an_id_is_known_by_its_body(tmp_path: Path) -> None:
    first, same, other = read(
        tmp_path, line("ping", PING), line("ping", PING), line("ping", {"zen": ""})
    )
    assert first == same
    assert first.delivery_id != other.delivery_id


def test_a_line_separator_within_a_text_ends_no_line(tmp_path: Path) -> None:
    body = {"title": "one\u2028two\u0085three"}
    raw = json.dumps({"headers": {"X-GitHub-Event": "push"}, "body": body}, ensure_ascii=False)
    (found,) = read(tmp_path, raw)
    assert json.loads(found.body) == body


def test_a_lone_surrogate_is_kept_as_it_was_escaped(tmp_path: Path) -> None:
    (found,) = read(tmp_path, b'{"headers": {"x-github-event": "push"}, "body": {"a": "\\ud83d"}}')
    assert found.body == b'{"a":"\\ud83d"}'


@pytest.mark.parametrize(
    ("bad", "why"),
    [
        ("{", "not a delivery"),
        ("[]", "not a delivery"),
        ('{"body": {}}', "there is no 'headers'"),
        ('{"headers": {"X-GitHub-Event": "push"}}', "there is no 'body'"),
        ('{"headers": {}, "body": {}}', "there is no 'x-github-event'"),
        ('{"headers": {"X-GitHub-Event": "two words"}, "body": {}}', "is not a name"),
        (b"\xff\xfe", "not a delivery"),
        ("[" * 100_000, "not a delivery"),
    ],
)
def test_a_bad_line_is_named(bad: str | bytes, why: str, tmp_path: Path) -> None:
    with pytest.raises(Refused, match=rf"recorded\.ndjson, line 2: .*{why}"):
        read(tmp_path, line("ping", PING), bad)


def test_a_folder_holds_one_delivery_a_file(tmp_path: Path) -> None:
    (tmp_path / "push.with-tag.json").write_text("{}")
    (tmp_path / "ping.json").write_text("[]")
    (tmp_path / "README.md").write_text("no delivery")
    assert list(recording(tmp_path)) == [
        Recorded("ping", "file:ping.json", b"[]"),
        Recorded("push", "file:push.with-tag.json", b"{}"),
    ]


def test_a_path_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="There is no file or folder"):
        list(recording(tmp_path / "nothing"))


@pytest.mark.parametrize("named", [None, {"login": "other", "id": 1}, "not an object"])
def test_a_delivery_can_be_given_an_organisation(named: Any) -> None:
    given = owned(Recorded("push", "d", json.dumps({"organization": named}).encode()), ACME)
    assert json.loads(given.body)["organization"] == ACME


@pytest.mark.parametrize("body", [b"[]", b"{", b"[" * 100_000])
def test_what_is_no_object_is_given_to_nobody(body: bytes) -> None:
    assert owned(Recorded("push", "d", body), ACME).body == body


def test_an_installation_says_itself_whose_it_is() -> None:
    each = Recorded("installation", "d", b'{"action": "created"}')
    assert owned(each, ACME) == each


@store
async def test_a_recording_is_decided_through_the_inbox(surroundings: Surroundings) -> None:
    seen: list[tuple[int, int]] = []
    replayed = await from_file(surroundings, RECORDED, None, lambda *said: seen.append(said))
    lines = len(list(recording(RECORDED)))
    assert len(replayed.ids) == sum(replayed.statuses.values()) == lines
    assert set(replayed.statuses) <= {"settled", "ignored"}
    assert replayed.repeated == 0
    assert seen[-1] == (lines, lines)


@store
async def test_what_is_in_the_inbox_is_decided_again(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    path = written(tmp_path, line("ping", PING, "one"), line("ping", PING, "one"))
    first = await from_file(surroundings, path, None, silent)
    assert (len(first.ids), first.repeated) == (1, 1)
    async with surroundings.engine.begin() as db:
        await db.execute(text("update deliveries set status = 'parked', decisions = '[]'"))
    second = await from_file(surroundings, path, None, silent)
    assert (second.ids, second.statuses, second.repeated) == (first.ids, {"settled": 1}, 2)
    async with surroundings.engine.connect() as db:
        decisions = (await db.execute(text("select decisions from deliveries"))).scalar_one()
    assert decisions[0]["handler"] == "ping_received"


@store
async def test_more_than_the_inbox_holds_at_once_is_kept(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    path = written(tmp_path, *(line("watch", {"n": number}) for number in range(4_100)))
    replayed = await from_file(surroundings, path, None, silent)
    assert replayed.statuses == {"ignored": 4_100}


@store
async def test_nothing_is_taken_from_a_bad_recording(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    with pytest.raises(Refused, match="line 2"):
        await from_file(surroundings, written(tmp_path, line("ping", PING), "{"), None, silent)
    async with surroundings.engine.connect() as db:
        assert (await db.execute(text("select count(*) from deliveries"))).scalar() == 0


@store
async def test_an_organisation_owns_what_no_known_installation_sent(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    body = {"ref": "refs/heads/main", "installation": {"id": 5}}
    path = written(tmp_path, line("create", body, "one"))
    with pytest.raises(Refused, match="No organisation called 'acme'"):
        await from_file(surroundings, path, "acme", silent)
    acme = Organization(id="github:9", organization_id="github:9", login="acme", account_id=9)
    async with surroundings.engine.begin() as db:
        await remember(db, [acme])
    unknown = await from_file(surroundings, path, None, silent)
    assert unknown.statuses == {"parked": 1}
    await from_file(surroundings, path, "ACME", silent)
    async with surroundings.engine.connect() as db:
        homes = await db.execute(text("select organization_id from deliveries order by id"))
    assert list(homes.scalars()) == [None, "github:9"]


@store
async def test_a_recording_does_not_rename_the_organisation_it_is_given_to(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    acme = Organization(id="github:9", organization_id="github:9", login="acme", account_id=9)
    async with surroundings.engine.begin() as db:
        await remember(db, [acme])
    theirs = {"action": "member_added", "organization": {"login": "Octocoders", "id": 38}}
    theirs["membership"] = {"user": {"login": "ada", "id": 501}}
    theirs["repository"] = {"id": 1, "full_name": "Octocoders/x", "updated_at": "2030-01-01T00:00Z"}
    lines = [
        line(event, theirs | {"action": action})
        for event, action in (("organization", "member_added"), ("organization", "renamed"))
    ]
    await from_file(surroundings, written(tmp_path, *lines), "acme", silent)
    async with surroundings.engine.connect() as db:
        logins = (await db.execute(text("select login from organizations"))).scalars()
        assert list(logins) == ["acme"]


@store
async def test_deliveries_are_replayed_by_either_id_or_by_time(
    surroundings: Surroundings, tmp_path: Path
) -> None:
    path = written(tmp_path, line("ping", PING, "one"), line("watch", PING, "two"))
    first, second = (await from_file(surroundings, path, None, silent)).ids
    by_number = await again(surroundings, [str(first)], None, silent)
    assert (by_number.ids, by_number.statuses) == ([first], {"settled": 1})
    by_name = await again(surroundings, ["two", str(first)], None, silent)
    assert by_name.ids == [first, second]
    now = datetime.now(UTC)
    assert len((await again(surroundings, [], now - timedelta(hours=1), silent)).ids) == 2
    assert (await again(surroundings, [], now + timedelta(hours=1), silent)).ids == []


@store
@pytest.mark.parametrize("name", ["nobody", "7", "9" * 40, "²"])
async def test_an_unknown_delivery_is_named(surroundings: Surroundings, name: str) -> None:
    with pytest.raises(Refused, match=f"No such delivery: {name}"):
        await again(surroundings, [name], None, silent)
