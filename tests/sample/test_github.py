"""The stand-in answers as the commit graph says, and in GitHub's manner."""

from base64 import b64decode
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from itertools import pairwise

import httpx
import pytest

from bot.sample.github import github
from bot.sample.repositories import INSTALLATION_ID
from bot.sample.story import Story
from handlers.builds import platform_of_file
from tests.sample.test_record import ancestors


@pytest.fixture
async def api(told: Story) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app=github(told))
    async with httpx.AsyncClient(transport=transport, base_url="http://api") as client:
        yield client


async def test_compare_equals_the_graph(told: Story, api: httpx.AsyncClient) -> None:
    for repository in told.repositories:
        graph = told.graph[repository.full_name]
        shas = [d.sha for d in told.record.deployments if d.repository_id == repository.id]
        for base, head in [*pairwise(shas[:40]), (shas[-1], shas[0])]:
            answer = await api.get(f"/repos/{repository.full_name}/compare/{base}...{head}")
            body = answer.json()
            ours, theirs = ancestors(graph, head), ancestors(graph, base)
            assert {c["sha"] for c in body["commits"]} == ours - theirs
            assert body["ahead_by"] == body["total_commits"] == len(ours - theirs)
            assert body["behind_by"] == len(theirs - ours)
            assert body["merge_base_commit"]["sha"] in ours & theirs


async def test_compare_lists_parents_before_children(told: Story, api: httpx.AsyncClient) -> None:
    repository = told.repositories[3]
    last = [d.sha for d in told.record.deployments if d.repository_id == repository.id][-1]
    first = next(iter(told.graph[repository.full_name]))
    body = (await api.get(f"/repos/{repository.full_name}/compare/{first}...{last}")).json()
    seen = {first}
    for commit in body["commits"]:
        assert all(p["sha"] in seen for p in commit["parents"])
        seen.add(commit["sha"])
    truth = told.graph[repository.full_name][body["commits"][-1]["sha"]]
    date = body["commits"][-1]["commit"]["author"]["date"]
    assert datetime.fromisoformat(date) == truth.authored_at


async def test_compare_is_paginated(told: Story, api: httpx.AsyncClient) -> None:
    repository = told.repositories[0]
    graph = told.graph[repository.full_name]
    first = next(iter(graph))
    url: str | None = f"/repos/{repository.full_name}/compare/{first}...main?per_page=999"
    pages, found = 0, []
    while url:
        answer = await api.get(url)
        assert len(answer.json()["commits"]) <= 250
        found += [c["sha"] for c in answer.json()["commits"]]
        url = answer.links.get("next", {}).get("url")
        pages += 1
    assert pages > 2
    assert len(found) == len(set(found))
    assert set(found) == ancestors(graph, repository.head) - {first}


@pytest.mark.parametrize(
    ("base", "head", "status"),
    [(0, 1, "ahead"), (1, 0, "behind"), (0, 0, "identical")],
)
async def test_compare_says_how_they_stand(
    told: Story, api: httpx.AsyncClient, base: int, head: int, status: str
) -> None:
    shas = list(told.graph["acme/web"])
    answer = await api.get(f"/repos/acme/web/compare/{shas[base]}...{shas[head]}")
    assert answer.json()["status"] == status


async def test_branches_apart_have_diverged(told: Story, api: httpx.AsyncClient) -> None:
    pulls = told.repositories[0].pulls
    given_up = next(
        shas for n, shas in pulls.items() if n not in told.repositories[0].merges.values()
    )
    answer = await api.get(f"/repos/acme/api/compare/{given_up[-1]}...main")
    assert answer.json()["status"] == "diverged"


@pytest.mark.parametrize(
    "path",
    [
        "/repos/acme/api/compare/main...0000000000000000000000000000000000000000",
        "/repos/acme/api/compare/main",
        "/repos/acme/nothing",
        "/repos/acme/api/pulls/1/commits",
        "/repos/acme/api/commits/abc/pulls",
        "/app/installations/1",
        "/elsewhere",
    ],
)
async def test_what_is_unknown_is_not_found(api: httpx.AsyncClient, path: str) -> None:
    answer = await api.get(path)
    assert answer.status_code == 404
    assert answer.json()["message"] == "Not Found"


async def test_a_token_lasts_an_hour(api: httpx.AsyncClient) -> None:
    answer = await api.post(f"/api/v3/app/installations/{INSTALLATION_ID}/access_tokens")
    assert answer.status_code == 201
    lasts = datetime.fromisoformat(answer.json()["expires_at"]) - datetime.now(UTC)
    assert 3_500 < lasts.total_seconds() <= 3_600
    assert answer.json()["permissions"]["contents"] == "write"


async def test_the_app_and_its_repositories(told: Story, api: httpx.AsyncClient) -> None:
    assert (await api.get("/app")).json()["slug"] == "veelocity"
    assert (await api.get("/app/installations")).json()[0]["id"] == INSTALLATION_ID
    assert (await api.get("/app/hook/deliveries")).json() == []
    body = (await api.get("/api/v3/installation/repositories")).json()
    assert body["total_count"] == 4
    assert {r["full_name"] for r in body["repositories"]} == set(told.graph)
    one = await api.get("/api/v3/repos/acme/mobile")
    assert one.json()["default_branch"] == "main"


async def test_a_former_name_leads_to_the_present_one(api: httpx.AsyncClient) -> None:
    moved = await api.get("/api/v3/repos/acme/payments-service")
    assert moved.status_code == 301
    answer = await api.get("/api/v3/repos/acme/payments-service", follow_redirects=True)
    assert answer.json()["full_name"] == "acme/billing"


async def test_commits_of_a_pull_request(told: Story, api: httpx.AsyncClient) -> None:
    change = next(c for c in told.record.changes if c.number and not c.complete)
    repository = next(r for r in told.repositories if r.id == change.repository_id)
    url = f"/repos/{repository.full_name}/pulls/{change.number}/commits"
    body = (await api.get(url)).json()
    dates = [datetime.fromisoformat(c["commit"]["author"]["date"]) for c in body]
    assert min(dates) == change.first_commit_at


async def test_pull_requests_of_a_commit(told: Story, api: httpx.AsyncClient) -> None:
    repository = told.repositories[0]
    for sha, number in list(repository.merges.items())[:5]:
        answer = await api.get(f"/repos/{repository.full_name}/commits/{sha}/pulls")
        assert [pull["number"] for pull in answer.json()] == [number]
    direct = next(c for c in told.record.changes if c.number is None)
    name = next(r.full_name for r in told.repositories if r.id == direct.repository_id)
    assert (await api.get(f"/repos/{name}/commits/{direct.sha}/pulls")).json() == []


async def test_workflow_files_and_annotations_are_served(api: httpx.AsyncClient) -> None:
    answer = await api.get("/repos/acme/mobile/contents/.github/workflows/play-store.yml")
    content = b64decode(answer.json()["content"]).decode()
    assert platform_of_file(content) == ("android", "gradlew")
    assert answer.json()["sha"] in answer.headers["etag"]
    none = await api.get("/repos/acme/web/contents/.github/workflows/ios.yml")
    assert none.status_code == 404
    (said,) = (await api.get("/repos/acme/mobile/check-runs/7/annotations")).json()
    assert (said["annotation_level"], bool(said["message"])) == ("failure", True)
