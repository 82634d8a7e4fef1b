"""The first state of a run: what it begins from, what it is told, which model, which tools."""

from typing import Any

import structlog

from bot.agent.board import CONFIGURATION
from bot.agent.context import Instructions, instructions
from bot.agent.egress import egress
from bot.agent.model import provider_of
from bot.agent.overlay import keep_setup
from bot.agent.place import Place
from bot.agent.prompts import template_for
from bot.agent.sandbox import Lack, lacks, sandbox_for
from bot.agent.workspace import branch_name
from models.errors import Refused
from models.runs import RunState
from models.tickets import TicketStatus

log = structlog.get_logger()

SETUP_SECONDS = 900.0
CANNOT = "This Veelocity cannot develop tickets yet. {lacks} `python -m bot doctor` says more."
NO_BRANCH = "The branch {branch} is not there any more, so there is nothing to follow up on."
NOT_ALLOWED = "The model {model} is not in the allow-list: {allowed}."
NOT_SET_UP = "The repository's setup failed: `{command}` ended with exit status {code}."
NO_HOSTS = "The organisation's allow-list has none of the hosts that setup asks for: {hosts}."


async def set_up(place: Place) -> RunState:
    """Read the trusted instructions, choose the model, check out the base, run its setup."""
    if missing := await lacks(place.settings):
        raise Refused(CANNOT.format(lacks=" ".join(map(said, missing))))
    if not place.follows_up:
        await place.ticket_is(TicketStatus.IN_PROGRESS)
    place.board.dirty.set()
    await begin_from(place)
    await read_instructions(place)
    await choose(place)
    await place.space.checkout(place.run["base_sha"], again=True)
    await run_setup(place)
    return RunState.PLANNING if place.run["kind"] == "plan" else RunState.DEVELOPING


def said(lack: Lack) -> str:
    """Say one thing that is missing, and how to mend it."""
    return f"{lack.what} {lack.mend}"


async def begin_from(place: Place) -> None:
    """Find the commit to begin from: the default branch, or the pull request's own branch."""
    branch = place.ticket["branch"] or branch_name(place.ticket["number"], place.ticket["title"])
    stands = await place.space.remote_head(branch)
    default = place.home.place.default_branch
    wanted = [f"refs/heads/{default}", *([f"refs/heads/{branch}"] if stands else [])]
    await place.space.fetch(*wanted)
    newest = await place.space.resolve(f"refs/heads/{default}")
    if newest is None:
        raise Refused(f"The repository has no branch {default}: is it empty?")
    if place.follows_up and stands is None:
        raise Refused(NO_BRANCH.format(branch=branch))
    goes_on = stands is not None and (place.follows_up or place.ticket["pull_request_number"])
    await place.keep(
        branch=branch,
        branch_sha=stands,
        base_sha=stands if goes_on else newest,
        instructions_commit=place.run["instructions_commit"] or newest,
    )
    await remember_branch(place, branch)


async def remember_branch(place: Place, branch: str) -> None:
    """Give a ticket its branch, which stays the same whatever its title becomes."""
    from sqlalchemy import text

    place.ticket["branch"] = branch
    async with place.surroundings.engine.begin() as db:
        await db.execute(
            text("update tickets set branch = :branch where id = :id"),
            {"branch": branch, "id": place.ticket["id"]},
        )


async def read_instructions(place: Place) -> Instructions:
    """Read what is trusted from the commit that was pinned when the run was queued."""
    commit = place.run["instructions_commit"]
    if await place.space.resolve(commit) is None:
        await place.space.fetch(commit)

    async def read(path: str) -> bytes | None:
        return await place.space.read(commit, path)

    told = await instructions(read, commit)
    pinned = place.run["instructions_sha"]
    if pinned and pinned != told.sha:
        raise Refused("The instructions of the default branch are not those that were pinned.")
    place.instructions = told
    if not pinned:
        await place.keep(instructions_sha=told.sha)
    return told


async def choose(place: Place) -> None:
    """Choose the model and the prompt, and keep which they are."""
    told = place.told
    allowed = tuple(place.organization.models) or place.settings.allowed_models
    asked = place.ticket["model"] or told.configuration.model
    model = asked or allowed[0]
    if model not in allowed:
        raise Refused(NOT_ALLOWED.format(model=model, allowed=", ".join(allowed)))
    async with place.surroundings.engine.connect() as db:
        prompt_id, name, _ = await template_for(db, place.run["organization_id"], told)
    await place.keep(
        model=model, provider=provider_of(model), prompt_id=prompt_id, prompt_name=name
    )
    for fault in told.faults:
        await place.note("note", CONFIGURATION, detail=fault, ok=False)


def hosts_of(place: Place) -> tuple[str, ...]:
    """Return the hosts that setup may reach: the repository's, within the organisation's list."""
    wanted = place.configuration.hosts
    within = set(place.organization.setup_hosts)
    allowed = tuple(host for host in wanted if not within or host in within)
    if wanted and not allowed:
        raise Refused(NO_HOSTS.format(hosts=", ".join(wanted)))
    return allowed


async def run_setup(place: Place) -> None:
    """Run the setup of the base commit, with the network it is allowed, and keep what it made.

    Untrusted text was not shown to anybody yet. Afterwards the network is gone for good.
    """
    commands = place.configuration.setup
    if not commands:
        return
    socket = place.space.folder / "egress.sock"
    async with egress(socket, hosts_of(place)):
        sandbox = sandbox_for(place.settings, place.space.tree, place.space.tmp, proxy=socket)
        for command in commands:
            result = await sandbox.run(command, seconds=SETUP_SECONDS)
            ok = result.code == 0
            told: dict[str, Any] = {"detail": result.output, "seconds": result.seconds}
            await place.note("tool", f"setup: {command}", ok=ok, **told)
            if not ok:
                raise Refused(NOT_SET_UP.format(command=command, code=result.code))
    await keep_setup(place.space)
