"""How soon Slack is answered while a worker settles two hundred deliveries a second."""

import hashlib
import hmac
import threading
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import count

import httpx
from pydantic_core import to_json

from bench.bodies import in_turn
from bench.load import Order, letter
from bench.report import goal, milliseconds, quantile, say, table
from bench.settle import WAITING
from bench.stage import SECRET, Stage, ask, database, web, worker
from bot.sample.story import story

SLACK_SECRET = "8f742231b10e8888abcd99yyyzzz85a5"
PER_SECOND, CONNECTIONS = 200, 8
SLACK_PER_SECOND = 20
GOAL_P99_SECONDS = 0.300
TEAM = "T0BENCH"
CONNECTED = """
    insert into connections (id, organization_id, changed_at, rank, digest, source, external_id,
                             account_login, state, permissions)
    select 'slack:team:T0BENCH', id, now(), 0, 0, 'slack', 'T0BENCH', 'bench', 'active', '{}'
      from organizations limit 1 returning id
"""
SETTLED = "select count(*) from deliveries where source = 'slack' and status = 'settled'"
PATHS = {"events": "/webhooks/slack/events", "commands": "/webhooks/slack/commands"}


@dataclass(frozen=True)
class Plan:
    """For how long."""

    seconds: int = 20


QUICK = Plan(seconds=2)


@dataclass
class Told:
    """How long answers took, by kind, and how many were none."""

    seconds: dict[str, list[float]] = field(default_factory=lambda: {name: [] for name in PATHS})
    failed: int = 0


def run(on: Stage, *, quick: bool = False) -> None:
    """Deliver GitHub's events steadily beside a worker, and ask as Slack does meanwhile."""
    plan = QUICK if quick else Plan()
    steadily = plan.seconds * PER_SECOND
    letters = [
        letter("/webhooks/github", kind, body, SECRET) for kind, body in in_turn(story().deliveries)
    ]
    with ExitStack() as stack:
        url = stack.enter_context(database(on, "slack"))
        _, port = stack.enter_context(web(on, url, SLACK_SIGNING_SECRET=SLACK_SECRET))
        stack.enter_context(worker(on, url))
        found(on, url, port)
        told, stop = Told(), threading.Event()
        asking = threading.Thread(target=keep_asking, args=(port, told, stop))
        asking.start()
        order = Order(port, letters, CONNECTIONS, plan.seconds + 30, PER_SECOND, steadily)
        result = on.drive(order)
        stop.set()
        asking.join()
        wait(url)
        print_figures(told, result.per_second, int(str(ask(url, SETTLED)[0])))


def found(on: Stage, url: str, port: int) -> None:
    """Found the organisation by its installation, and connect its workspace."""
    first = next(each for each in story().deliveries if each.event == "installation")
    made = letter("/webhooks/github", first.event, to_json(first.payload), SECRET)
    on.drive(Order(port, [made], 1, most=1))
    wait(url)
    ask(url, CONNECTED)


def wait(url: str) -> None:
    """Wait until nothing is left to settle."""
    deadline = time.monotonic() + 60
    while ask(url, WAITING)[0] and time.monotonic() < deadline:
        time.sleep(0.1)


def keep_asking(port: int, told: Told, stop: threading.Event) -> None:
    """Send events and commands in turn, twenty a second, until told to stop."""
    began = time.monotonic()
    with httpx.Client(base_url=f"http://127.0.0.1:{port}", timeout=10) as client:
        for number in count():
            if stop.wait(max(began + number / SLACK_PER_SECOND - time.monotonic(), 0)):
                return
            kind = "commands" if number % 4 == 0 else "events"
            body = command(number) if kind == "commands" else event(number)
            started = time.perf_counter()
            answer = client.post(PATHS[kind], content=body, headers=signed(body))
            told.seconds[kind].append(time.perf_counter() - started)
            told.failed += answer.status_code != 200


def event(number: int) -> bytes:
    """Return a message of a thread."""
    ts = f"{1_790_000_000 + number}.000100"
    said = {"type": "message", "channel": "C1", "user": "U1", "text": f"looking {number}"}
    return to_json(
        {
            "type": "event_callback",
            "team_id": TEAM,
            "event_id": f"Ev{time.time_ns()}",
            "event": {**said, "ts": ts, "event_ts": ts, "thread_ts": "1790000000.000100"},
        }
    )


def command(number: int) -> bytes:
    """Return `/veelocity help`, which needs no member."""
    told = f"team_id={TEAM}&user_id=U1&channel_id=C1&command=%2Fveelocity&text=help"
    return f"{told}&trigger_id={time.time_ns()}.{number}".encode()


def signed(body: bytes) -> dict[str, str]:
    """Sign as Slack does."""
    at = str(int(time.time()))
    made = hmac.new(SLACK_SECRET.encode(), f"v0:{at}:".encode() + body, hashlib.sha256)
    return {"x-slack-request-timestamp": at, "x-slack-signature": f"v0={made.hexdigest()}"}


def print_figures(told: Told, per_second: float, settled: int) -> None:
    """Print how long answers took, with the goal."""
    say(f"slack: {SLACK_PER_SECOND} requests a second beside {per_second:,.0f} of GitHub's")
    rows = []
    for kind, seconds in told.seconds.items():
        p99 = quantile(seconds, 0.99)
        met = goal("p99 under 300 ms", p99 < GOAL_P99_SECONDS)
        half = milliseconds(quantile(seconds, 0.5))
        rows.append((kind, str(len(seconds)), half, milliseconds(p99), met))
    table("", ("", "answers", "p50", "p99", "goal"), rows)
    say(f"Answered other than 200: {told.failed}; settled: {settled:,}.")
    assert not told.failed, "Slack was not answered"
    assert settled == sum(map(len, told.seconds.values())), "what Slack said was not settled"
