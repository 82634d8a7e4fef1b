"""How fast signed deliveries are kept, beside receivers that keep nothing."""

import time
from collections import defaultdict
from contextlib import ExitStack
from dataclasses import dataclass, field

from bench.bodies import in_turn
from bench.load import Letter, Order, Result, letter
from bench.report import goal, middle, milliseconds, say, table
from bench.rivals import Receiver, bare, installed, probot
from bench.stage import SECRET, Stage, ask, database, resident_megabytes, web
from bot.sample.story import story

OURS = "Veelocity"
GOAL_AT = 64
GOAL_P99_SECONDS = 0.030
GOAL_IDLE_MEGABYTES = 80
COLUMNS = (
    *("connections", "receiver", "answers/s", "p50", "p99", "ratio to ours"),
    *("failed", "generator's core"),
)


@dataclass(frozen=True)
class Plan:
    """How long, and at how many connections."""

    rounds: int = 5
    seconds: float = 3.0
    connections: tuple[int, ...] = (1, 16, 64, 1000)
    with_probot: bool = True
    idle_seconds: float = 3.0


QUICK = Plan(rounds=1, seconds=0.5, connections=(1, 64), with_probot=False, idle_seconds=0)


@dataclass
class Rounds:
    """The results of all rounds, by connections and receiver."""

    receivers: list[Receiver]
    results: dict[tuple[int, str], list[Result]] = field(default_factory=lambda: defaultdict(list))
    accepted: int = 0

    def rate(self, connections: int, name: str) -> float:
        """Return the median of the rounds' answers a second."""
        return middle(result.per_second for result in self.results[connections, name])

    def latency(self, connections: int, name: str, share: float) -> float:
        """Return the median of the rounds' quantiles, in seconds."""
        return middle(result.quantile(share) for result in self.results[connections, name])

    def ratio(self, connections: int, name: str) -> float:
        """Return the median of the rounds' ratios of our rate to another's."""
        pairs = zip(self.results[connections, OURS], self.results[connections, name], strict=True)
        return middle(ours.per_second / theirs.per_second for ours, theirs in pairs)


def run(on: Stage, *, quick: bool = False) -> None:
    """Measure, print, and compare the table with what was answered 202."""
    plan = QUICK if quick else Plan()
    letters = [
        letter("/webhooks/github", event, body, SECRET)
        for event, body in in_turn(story().deliveries)
    ]
    with ExitStack() as stack:
        url = stack.enter_context(database(on, "ingest"))
        process, port = stack.enter_context(web(on, url))
        time.sleep(plan.idle_seconds)
        idle = resident_megabytes(process)
        receivers = [Receiver(OURS, port), stack.enter_context(bare(on))]
        if plan.with_probot:
            found = installed(on)
            if isinstance(found, str):
                say(f"Without Probot: {found}.")
            else:
                receivers.append(stack.enter_context(probot(on, found)))
        rounds = rotate(on, plan, receivers, letters)
        print_rounds(plan, rounds)
        print_memory(idle, resident_megabytes(process))
        (kept,) = ask(url, "select count(*) from deliveries")
        say(f"Answered 202: {rounds.accepted:,}; rows in the table: {kept:,}.")
        assert kept == rounds.accepted, "a delivery was lost, or kept without an answer"


def rotate(on: Stage, plan: Plan, receivers: list[Receiver], letters: list[Letter]) -> Rounds:
    """Load every receiver in turn, in short rounds, after one to warm up."""
    rounds = Rounds(receivers)
    for number in range(plan.rounds + 1):
        for connections in plan.connections:
            for receiver in receivers:
                order = Order(receiver.port, letters, connections, seconds=plan.seconds)
                result = on.drive(order)
                if receiver.name == OURS:
                    rounds.accepted += result.statuses[202]
                if number:
                    rounds.results[connections, receiver.name].append(result)
    return rounds


def print_rounds(plan: Plan, rounds: Rounds) -> None:
    """Print the figures, and the goals at the connections they were set for."""
    say("ingest: push (13 kB) and pull_request (24 kB) in turn; ours are on disk before the 202")
    table(
        f"Medians of {plan.rounds} rounds of {plan.seconds:g} s, in rotation",
        COLUMNS,
        (
            row(rounds, connections, receiver.name)
            for connections in plan.connections
            for receiver in rounds.receivers
        ),
    )
    p99 = rounds.latency(GOAL_AT, OURS, 0.99)
    said = [
        goal("half of the bare route", rounds.ratio(GOAL_AT, "bare route") >= 0.5),
        goal("p99 under 30 ms", p99 < GOAL_P99_SECONDS),
    ]
    if any(receiver.name == "Probot" for receiver in rounds.receivers):
        said.append(goal("more than Probot", rounds.ratio(GOAL_AT, "Probot") > 1))
    say(f"Goals at {GOAL_AT} connections: {'; '.join(said)}.")


def row(rounds: Rounds, connections: int, name: str) -> tuple[str, ...]:
    """Return a receiver's figures at a number of connections."""
    results = rounds.results[connections, name]
    refused = sum(
        count for each in results for status, count in each.statuses.items() if status >= 300
    )
    return (
        f"{connections:,}",
        name,
        f"{rounds.rate(connections, name):,.0f}",
        milliseconds(rounds.latency(connections, name, 0.5)),
        milliseconds(rounds.latency(connections, name, 0.99)),
        "" if name == OURS else f"ours is {rounds.ratio(connections, name):.2f} ×",
        str(refused + sum(each.failures for each in results)),
        f"{middle(each.cpu for each in results):.0%}",
    )


def print_memory(idle: float, loaded: float) -> None:
    """Print the web process's memory."""
    met = goal(f"under {GOAL_IDLE_MEGABYTES} MB idle", idle < GOAL_IDLE_MEGABYTES)
    say(f"Web process: {idle:.0f} MB idle, {loaded:.0f} MB after the load. Goal: {met}.")
