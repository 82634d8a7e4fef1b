"""GitHub: the app, what its installations grant, whether its webhooks reach us, its clock."""

import time
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any

from sqlalchemy import text

from bot.checkups.finding import Finding, Patient, listed, missing, ok, warning
from bot.checkups.stores import skew
from bot.clients.asking import Question
from bot.clients.github import App, GitHub, GitHubError
from bot.clients.github_deliveries import LOG
from bot.clients.outward import leads_here
from bot.settings import Settings
from bot.vault import AppCredentials, Vault, app_credentials
from bot.words import ago
from models.errors import Refused

NEEDED = ("contents", "pull_requests", "issues", "checks")
EVENTS = ("issues", "issue_comment", "pull_request", "pull_request_review")
PATIENCE_SECONDS = 5.0
SILENT_DAYS = 7
NO_APP = "there is none: nothing can be developed, and no webhook is believed"
SET_UP = "Open {url}/setup, or set APP_ID, PRIVATE_KEY and WEBHOOK_SECRET."
INSTALLED = text("""
    select external_id, account_login, state from connections
     where source = 'github' and state <> 'deleted' order by account_login
""")
LAST = text("select max(received_at) from deliveries where source = 'github'")


async def app(patient: Patient) -> AsyncIterator[Finding]:
    """The GitHub App, its events, its installations and its webhook."""
    credentials = await known_app(patient)
    if isinstance(credentials, Finding):
        yield credentials
        return
    async with GitHub(credentials, patient.settings.github_api_url) as github:
        try:
            told = await github.app()
        except GitHubError as error:
            yield missing("app", str(error), SET_UP.format(url=patient.settings.public_url))
            return
        yield ok("app", f"{told.slug or told.name or told.id} at {told.html_url}")
        if lacking := [event for event in EVENTS if event not in told.events]:
            mend = f"Tick them in the app's settings: {told.html_url}"
            yield missing("events", f"the app does not get {listed(lacking)}", mend)
        async for finding in granted(patient, github, told):
            yield finding
        yield await (delivery_log if patient.settings.pull else hook)(patient.settings, github)


async def known_app(patient: Patient) -> AppCredentials | Finding:
    """Return the app's credentials, or what is wrong with them."""
    settings, credentials = patient.settings, None
    set_up = SET_UP.format(url=settings.public_url)
    if patient.store is None:
        return missing("app", "it is kept in the store, and there is none", set_up)
    try:
        async with patient.store.connect() as db:
            credentials = await app_credentials(db, settings, Vault(settings.secret_keys))
    except Refused as refusal:
        return missing("app", str(refusal), set_up)
    return credentials or missing("app", NO_APP, set_up)


async def granted(patient: Patient, github: GitHub, app: App) -> AsyncIterator[Finding]:
    """What each installation grants, beside what a run needs."""
    assert patient.store is not None  # noqa: S101 - the app is known
    async with patient.store.connect() as db:
        rows = (await db.execute(INSTALLED)).mappings().all()
    if not rows:
        mend = f"Install it: {app.html_url}/installations/new"
        yield missing("installations", "the app is installed nowhere yet", mend)
    for row in rows:
        yield await permissions(github, app, row)


async def permissions(github: GitHub, app: App, row: Any) -> Finding:
    """Say what one installation does not grant of what a run needs."""
    check = f"permissions of {row['account_login']}"
    if row["state"] != "active":
        return missing(check, f"the installation is {row['state']}", "Unsuspend it on GitHub.")
    try:
        found = await github.installation_permissions(row["external_id"])
    except GitHubError as error:
        return missing(check, str(error), "Install the app again.")
    lacking = [name for name in NEEDED if found.get(name) not in ("write", "admin")]
    if not lacking:
        return ok(check, f"{listed(NEEDED)}: write")
    mend = f"Grant it in the app's settings ({app.html_url}), then accept it in the installation's."
    return missing(check, f"write is missing for {listed(lacking)}", mend)


async def hook(settings: Settings, github: GitHub) -> Finding:
    """Say whether the app's webhooks are sent to this Veelocity."""
    ours = f"{settings.public_url}/webhooks/github"
    try:
        told = await github.line.ask(Question("GET", "/app/hook/config"), github.signer)
    except GitHubError as error:
        return warning("webhook address", str(error), "Look at the app's settings on GitHub.")
    url = told.get("url") if isinstance(told, dict) else None
    if url == ours:
        return ok("webhook address", ours)
    mend = f"Set it to {ours} in the app's settings, or BASE_URL to where GitHub reaches us."
    return missing("webhook address", f"GitHub sends to {url or 'nowhere'}", mend)


async def delivery_log(settings: Settings, github: GitHub) -> Finding:
    """Say whether GitHub shows its log of deliveries, which pull mode lives on."""
    try:
        await github.line.ask(Question("GET", LOG, {"per_page": 1}), github.signer)
    except GitHubError as error:
        mend = "Tick Active under Webhook in the app's settings: without it there is no log."
        return missing("pull mode", str(error), mend)
    return ok("pull mode", f"on: deliveries are read from the log of {settings.github_api_url}")


async def reachable(patient: Patient) -> AsyncIterator[Finding]:
    """Whether the public address answers, unless in pull mode, and when a delivery last came."""
    if not patient.settings.pull:
        yield await public_address(patient.settings)
    if patient.store is not None:
        yield await last_delivery(patient)


async def public_address(settings: Settings) -> Finding:
    """Say whether the public address answers."""
    import httpx

    check, address = "public address", f"{settings.public_url}/healthz"
    try:
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            answer = await client.get(address)
        healthy = answer.status_code == 200 and answer.json() == {"status": "healthy"}
        words = "it answers" if healthy else f"{address} answers {answer.status_code}, not as we do"
    except (httpx.HTTPError, ValueError) as error:
        healthy, words = False, f"{address} does not answer ({type(error).__name__})"
    if not healthy:
        mend = "Start `python -m bot web`, and set BASE_URL to its address."
        return missing(check, words, mend)
    if leads_here(settings.public_url) and not leads_here(settings.github_api_url):
        mend = "Set BASE_URL to an https address that GitHub can reach."
        return warning(check, f"{settings.public_url} is this machine's own: GitHub cannot", mend)
    return ok(check, f"{settings.public_url} answers")


async def last_delivery(patient: Patient) -> Finding:
    """Say when GitHub's last delivery came."""
    assert patient.store is not None  # noqa: S101 - the caller saw to it
    async with patient.store.connect() as db:
        at = await db.scalar(LAST)
    look = "See the app's settings on GitHub, Advanced: recent deliveries."
    if at is None:
        return warning("deliveries", "none has come from GitHub yet", look)
    words = f"the last one came {ago(at, datetime.now(UTC))}"
    if (datetime.now(UTC) - at).days >= SILENT_DAYS:
        return warning("deliveries", words, look)
    return ok("deliveries", words)


async def clock(patient: Patient) -> AsyncIterator[Finding]:
    """Whether our clock is GitHub's: its tokens are refused where it is not."""
    import httpx

    settings, started = patient.settings, time.time()
    try:
        async with httpx.AsyncClient(timeout=PATIENCE_SECONDS) as client:
            answer = await client.head(settings.github_api_url)
        at = parsedate_to_datetime(answer.headers["date"]).timestamp()
    except (httpx.HTTPError, KeyError, ValueError) as error:
        words = f"{settings.github_api_url} does not answer ({type(error).__name__})"
        yield missing("github", words, "Let this machine reach it, or set GITHUB_API_URL.")
        return
    yield ok("github", f"{settings.github_api_url} answers")
    seconds = at + 0.5 - (started + time.time()) / 2  # the header has whole seconds
    yield skew("clock of GitHub", seconds)
