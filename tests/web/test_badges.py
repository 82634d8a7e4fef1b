"""Badges: drawn safely, public by an unguessable address alone, made and withdrawn by managers."""

import hashlib
import re
from datetime import UTC, datetime
from typing import Any
from xml.etree import ElementTree as Xml

import pytest
from limits import parse
from sqlalchemy.exc import OperationalError

from bot import logs
from bot.web import badges
from bot.web.pages import badges as pages
from models import badges as kept
from models.badge_figures import Figure
from tests.web.conftest import World
from tests.web.pages.screens import with_screens

NOW = datetime.now(UTC).replace(microsecond=0)
SVG = "{http://www.w3.org/2000/svg}"
GROUNDS = [*badges.COLOURS.values(), badges.NEUTRAL, badges.PLAIN, badges.LABEL]


def parsed(figure: Figure) -> Xml.Element:
    """Draw a badge, and read it as a browser would."""
    return Xml.fromstring(badges.drawn(figure))  # noqa: S314 - our own drawing


def brightness(colour: str) -> float:
    """Return the relative luminance of a colour (WCAG 2.2)."""
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    linear = [
        part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts
    ]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


@pytest.mark.parametrize("ground", GROUNDS)
def test_white_is_read_on_every_ground(ground: str) -> None:
    assert 1.05 / (brightness(ground) + 0.05) >= 4.5


@pytest.mark.parametrize(
    ("figure", "words", "title", "ground"),
    [
        (
            Figure("deployment_frequency", 3 / 7, "high"),
            "3 per week",
            "Deployment frequency, last 30 days: 3 per week (high)",
            "#1e3a5f",
        ),
        (
            Figure("change_lead_time", 183600.0, "elite"),
            "2.1 d",
            "Change lead time, median, last 30 days: 2.1 d (elite)",
            "#13704a",
        ),
        (
            Figure("change_failure_rate", 0.0, "low"),
            "0 %",
            "Change failure rate, last 30 days: 0 % (low)",
            "#b92a36",
        ),
        (
            Figure("failed_deployment_recovery_time", 120.0, "top 21 %"),
            "2 min",
            "Failed deployment recovery time, median, last 30 days: 2 min (top 21 %)",
            "#1e3a5f",
        ),
        (Figure("rework_rate", None), "no data", "Rework rate, last 30 days: no data", "#566070"),
        (
            Figure("change_lead_time", None, withheld=True),
            "withheld",
            "Change lead time, median, last 30 days: withheld, for fewer than 5 people had a part"
            " in it",
            "#566070",
        ),
    ],
)
def test_a_badge_says_its_figure_in_words_and_colour(
    figure: Figure, words: str, title: str, ground: str
) -> None:
    drawn = parsed(figure)
    label, value = drawn.iter(f"{SVG}text")
    assert (label.text, value.text) == (badges.LABELS[figure.metric], words)
    [titled] = drawn.iter(f"{SVG}title")
    assert titled.text == title
    assert drawn.get("role") == "img"
    assert drawn.get("aria-labelledby") == titled.get("id")
    assert [path.get("fill") for path in drawn.iter(f"{SVG}path")] == [badges.LABEL, ground]
    ends = float(value.get("x") or 0) + float(value.get("textLength") or 0) / 2
    assert ends < float(drawn.get("width") or 0)


@pytest.mark.parametrize("wild", ['"><script>alert(1)</script>', "&amp;' onload='x", "]]><!--"])
def test_whatever_a_level_is_called_is_only_text(wild: str) -> None:
    drawn = parsed(Figure("rework_rate", 0.5, wild))
    names = {each.tag.removeprefix(SVG) for each in drawn.iter()}
    assert names == {"svg", "title", "path", "g", "text"}
    [titled] = drawn.iter(f"{SVG}title")
    assert (titled.text or "").endswith(f"({wild})")
    assert not [each for each in drawn.iter() if {"style", "onload", "href"} & set(each.keys())]


@pytest.fixture
def screens(world: World) -> World:
    """The application with the public pictures and the page of managers."""
    with_screens(world)
    world.app.router.routes += pages.routes()
    return world


async def made(screens: World, who: str = "manager", **body: Any) -> str:
    """Make a badge over the API; return the path of its picture."""
    program = await screens.program(who)
    answer = await program.post("/api/v1/badges", json={"metric": "deployment_frequency", **body})
    assert answer.status_code == 200, answer.text
    url = str(answer.json()["url"])
    assert answer.json()["markdown"] == f"![{badges.TITLES[answer.json()['metric']]}]({url})"
    assert url.startswith("https://veelocity.example/badges/")
    return url.removeprefix("https://veelocity.example")


async def deployed(screens: World, people: int) -> None:
    """Let a repository's latest deployment be of today, with a change of each of some people."""
    await screens.rows("update service_deployments set finished_at = :now", now=NOW)
    await screens.rows("delete from deployment_changes")
    for number in range(people):
        await screens.rows(
            "insert into deployment_changes (id, organization_id, repository_id, service_id,"
            " environment_class, service_deployment_id, change_id, sha, title, author_login,"
            " cohort, evidence, corrective, first, first_commit_at, merged_at, deployed_at,"
            " lead_seconds)"
            " values (:id, 'github:1', 'github:10', 'github:10/production', 'production',"
            " 'github:d10', :id, :id, 't', :id, 'people', 'push', false, true, :now, :now, :now,"
            " 7200)",
            id=f"person-{number}",
            now=NOW,
        )


async def test_everybody_who_knows_the_address_sees_the_figure(screens: World) -> None:
    await deployed(screens, 0)
    path = await made(screens, repo_id="acme/api")
    answer = await (await screens.browser(peer=("203.0.113.9", 1))).get(path)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "image/svg+xml"
    assert answer.headers["cache-control"] == "max-age=300"
    assert answer.headers["content-security-policy"] == "default-src 'none'"
    assert "set-cookie" not in answer.headers
    assert ">1 per month<" in answer.text
    assert "acme" not in answer.text


async def test_only_a_hash_of_the_address_is_kept(screens: World) -> None:
    path = await made(screens)
    token = path.removeprefix("/badges/").removesuffix(".svg")
    assert len(token) >= 32
    told = str(await screens.rows("select * from badges"))
    assert token not in told
    assert hashlib.sha256(token.encode()).hexdigest() in told
    assert token not in str(await screens.rows("select * from audit_log"))


async def test_what_was_withdrawn_and_what_never_was_are_told_the_same(screens: World) -> None:
    program, browser = await screens.program("manager"), await screens.browser()
    path = await made(screens, repo_id="github:10")
    gone = await made(screens, repo_id="github:11")
    [first, second] = (await program.get("/api/v1/badges")).json()["badges"]
    assert {first["repository"], second["repository"]} == {"acme/api", "acme/web"}
    mine = first if first["repository"] == "acme/api" else second
    assert (await browser.get(path)).status_code == 200
    assert (await program.delete(f"/api/v1/badges/{mine['id']}")).status_code == 204
    assert (await program.delete(f"/api/v1/badges/{mine['id']}")).status_code == 404
    await screens.rows("update repositories set deleted_at = now() where id = 'github:11'")
    addresses = (path, gone, "/badges/never.svg", f"/badges/{'x' * 5000}.svg", "/badges/%20.svg")
    answers = [await browser.get(address) for address in addresses]
    assert {answer.status_code for answer in answers} == {404}
    assert {answer.text for answer in answers} == {"There is no such badge.\n"}
    assert (await program.get("/api/v1/badges")).json() == {"badges": []}


@pytest.mark.parametrize("people", [4, 5])
async def test_the_lead_time_of_too_few_people_is_withheld(screens: World, people: int) -> None:
    await deployed(screens, people)
    path = await made(screens, metric="change_lead_time")
    told = (await (await screens.browser()).get(path)).text
    assert ("withheld, for fewer than 5 people" in told) == (people < 5)
    assert ("2 h" in told) == (people >= 5)
    assert "person-" not in told


@pytest.mark.parametrize("metric", kept.METRICS)
async def test_each_metric_has_a_badge_also_without_data(screens: World, metric: str) -> None:
    await screens.rows("delete from service_deployments")
    await screens.rows("delete from deployment_changes")
    path = await made(screens, metric=metric)
    assert ">no data</text>" in (await (await screens.browser()).get(path)).text


async def test_a_figure_is_kept_for_a_minute_but_a_withdrawal_counts_at_once(
    screens: World,
) -> None:
    await deployed(screens, 0)
    path, browser = await made(screens), await screens.browser()
    before = (await browser.get(path)).text
    await screens.rows("delete from service_deployments")
    assert (await browser.get(path)).text == before
    screens.app.state.pictures.clear()
    assert "no data" in (await browser.get(path)).text
    await screens.rows("update badges set withdrawn_at = now()")
    assert (await browser.get(path)).status_code == 404


async def test_pictures_are_limited_by_address(
    screens: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "BY_ADDRESS", parse("2 per minute"))
    browser = await screens.browser()
    answers = [(await browser.get("/badges/never.svg")).status_code for _ in range(3)]
    assert answers == [404, 404, 429]


@pytest.mark.parametrize("log_format", ["json", "console"])
async def test_a_token_is_in_no_log(
    screens: World,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    log_format: str,
) -> None:
    async def away(*_: object) -> None:
        raise OperationalError("select", {}, Exception("away"))

    logs.configure(log_format, "INFO")
    monkeypatch.setattr(pages, "shown_by", away)
    answer = await (await screens.browser()).get("/badges/hush-hush.svg")
    assert answer.status_code == 503
    told = "".join(capsys.readouterr())
    assert "/badges/{token}.svg" in told
    assert "hush-hush" not in told


@pytest.mark.parametrize(
    ("who", "path", "status"),
    [("viewer", "/api/v1/badges", 403), ("viewer", "/settings/badges", 403)],
)
async def test_viewers_neither_see_nor_make_badges(
    screens: World, who: str, path: str, status: int
) -> None:
    program = await screens.program(who)
    browser = await screens.signed_in(who)
    asking = program if path.startswith("/api") else browser
    body: dict[str, Any] = {
        "json" if path.startswith("/api") else "data": {"metric": "rework_rate"}
    }
    assert (await asking.get(path)).status_code == status
    assert (await asking.post(path, **body)).status_code == status
    assert await screens.rows("select from badges") == []


async def test_nobody_makes_or_withdraws_badges_of_others(screens: World) -> None:
    stranger = await screens.program("stranger")
    await made(screens)
    [mine] = (await (await screens.program("manager")).get("/api/v1/badges")).json()["badges"]
    assert (await stranger.get("/api/v1/badges")).json() == {"badges": []}
    assert (await stranger.delete(f"/api/v1/badges/{mine['id']}")).status_code == 404
    body = {"metric": "rework_rate", "repo_id": "github:10"}
    assert (await stranger.post("/api/v1/badges", json=body)).status_code == 404
    assert len(await screens.rows("select from badges where withdrawn_at is null")) == 1


async def test_there_are_so_many_badges_and_no_more(
    screens: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(kept, "MOST", 1)
    await made(screens)
    program = await screens.program("manager")
    answer = await program.post("/api/v1/badges", json={"metric": "rework_rate"})
    assert answer.status_code == 409
    answer = await program.post("/api/v1/badges", json={"metric": "heroism"})
    assert answer.status_code == 422


async def test_a_manager_makes_one_on_the_page_and_sees_its_address_once(screens: World) -> None:
    browser = await screens.signed_in("manager")
    form = {"metric": "rework_rate", "repository": "github:10"}
    answer = await browser.post("/settings/badges", data=form)
    assert answer.status_code == 200
    [url] = set(re.findall(r'value="(https://[^"]+svg)"', answer.text))
    path = url.removeprefix("https://veelocity.example")
    assert (await (await screens.browser()).get(path)).status_code == 200
    page = (await browser.get("/settings/badges")).text
    assert url not in page
    assert "acme/api · made" in page
    assert "manager@example.org" in page
    [badge_id] = re.findall(r'name="badge" value="([^"]+)"', page)
    answer = await browser.post("/settings/badges/withdraw", data={"badge": badge_id})
    assert answer.headers["location"] == "/settings/badges"
    assert (await (await screens.browser()).get(path)).status_code == 404
    actions = await screens.rows(
        "select action from audit_log where action like '%badge' order by id"
    )
    assert [row["action"] for row in actions] == ["make_badge", "withdraw_badge"]


@pytest.mark.parametrize(
    ("form", "status"),
    [({"metric": "heroism"}, 422), ({"metric": "rework_rate", "repository": "github:20"}, 404)],
)
async def test_a_form_that_means_nothing_of_ours_is_refused(
    screens: World, form: dict[str, str], status: int
) -> None:
    answer = await (await screens.signed_in("manager")).post("/settings/badges", data=form)
    assert answer.status_code == status
    assert await screens.rows("select from badges") == []


async def test_the_explanation_of_each_of_the_five_leads_to_its_badge(screens: World) -> None:
    path = "/delivery/explain/rework-rate?period=30&repository=acme/api"
    link = "/settings/badges?metric=rework_rate&amp;repository=acme/api"
    assert link in (await (await screens.signed_in("manager")).get(path)).text
    assert link not in (await (await screens.signed_in("viewer")).get(path)).text
    page = (await (await screens.signed_in("manager")).get(link.replace("&amp;", "&"))).text
    assert '<option value="rework_rate" selected>' in page
    assert '<option value="github:10" selected>' in page
