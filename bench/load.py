"""A load generator in a process of its own: signed requests over keep-alive connections.

Requests are made beforehand but for the delivery id, and of an answer only its status and its end
are read, so that the generator takes little of the machine that it measures.
"""

import hmac
import resource
import selectors
import socket
import time
from collections import Counter, deque
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from itertools import cycle
from uuid import uuid4

SEND_BUFFER = 256 * 1024
PATIENCE_SECONDS = 30.0
DESCRIPTORS = 4096


@dataclass(frozen=True)
class Letter:
    """A request around its delivery id."""

    head: bytes
    tail: bytes


@dataclass(frozen=True)
class Order:
    """What is to be sent.

    `per_second` None: each connection sends as soon as it was answered. `most` ends it by number.
    """

    port: int
    letters: Sequence[Letter]
    connections: int
    seconds: float = PATIENCE_SECONDS
    per_second: float | None = None
    most: int | None = None


@dataclass
class Result:
    """What came of an order. `latencies` are seconds; `cpu` is the generator's share of a core."""

    statuses: Counter[int] = field(default_factory=Counter)
    latencies: list[float] = field(default_factory=list)
    failures: int = 0
    seconds: float = 0.0
    cpu: float = 0.0

    @property
    def per_second(self) -> float:
        """Good answers a second."""
        return sum(n for status, n in self.statuses.items() if status < 300) / self.seconds

    def quantile(self, share: float) -> float:
        """The latency in seconds that a share of the answers did not exceed."""
        ordered = sorted(self.latencies) or [float("nan")]
        return ordered[min(int(share * len(ordered)), len(ordered) - 1)]


class Line:
    """One open connection."""

    def __init__(self, port: int) -> None:
        self.socket = socket.create_connection(("127.0.0.1", port))
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, SEND_BUFFER)
        self.sent_at = 0.0
        self.received = b""

    def send(self, letter: Letter, delivery_id: bytes) -> None:
        """Send one request."""
        self.received = b""
        self.sent_at = time.perf_counter()
        whole = len(letter.head) + len(delivery_id) + len(letter.tail)
        sent = self.socket.sendmsg((letter.head, delivery_id, letter.tail))
        if sent < whole:
            self.socket.sendall((letter.head + delivery_id + letter.tail)[sent:])

    def answered(self) -> bool:
        """Read what has come; tell whether the answer is whole. Raises OSError when hung up."""
        part = self.socket.recv(65536)
        if not part:
            raise ConnectionResetError
        self.received += part
        return whole(self.received)

    @property
    def status(self) -> int:
        """The answer's status."""
        return int(self.received[9:12])


def whole(answer: bytes) -> bool:
    """Tell whether an answer has come to its end."""
    head, end, body = answer.partition(b"\r\n\r\n")
    if not end:
        return False
    _, found, rest = head.lower().partition(b"\r\ncontent-length:")
    if found:
        return len(body) >= int(rest.split(b"\r\n", 1)[0])
    return body.endswith(b"0\r\n\r\n")


def letter(path: str, event: str, body: bytes, secret: str) -> Letter:
    """Make a request as GitHub sends it."""
    lines = (
        f"POST {path} HTTP/1.1",
        "host: 127.0.0.1",
        "accept: */*",
        "user-agent: GitHub-Hookshot/0000000",
        "content-type: application/json",
        f"content-length: {len(body)}",
        f"x-github-event: {event}",
        "x-github-hook-id: 410077251",
        "x-github-hook-installation-target-id: 99",
        "x-github-hook-installation-target-type: integration",
        f"x-hub-signature-256: sha256={hmac.digest(secret.encode(), body, 'sha256').hex()}",
        "x-github-delivery: ",
    )
    return Letter("\r\n".join(lines).encode(), b"\r\n\r\n" + body)


def delivery_ids() -> Iterator[bytes]:
    """Yield ids that nobody used before, in the form of GitHub's."""
    start = str(uuid4())[:23]
    number = 0
    while True:
        number += 1
        yield f"{start}-{number:012x}".encode()


@contextmanager
def lines(order: Order) -> Iterator[tuple[selectors.BaseSelector, deque[Line]]]:
    """Open the connections of an order; close them all."""
    with ExitStack() as stack:
        selector = stack.enter_context(selectors.DefaultSelector())
        idle: deque[Line] = deque()
        for _ in range(order.connections):
            line = Line(order.port)
            stack.callback(line.socket.close)
            selector.register(line.socket, selectors.EVENT_READ, line)
            idle.append(line)
        yield selector, idle


def drive(order: Order) -> Result:
    """Send what is ordered and wait for the answers."""
    allow_descriptors()
    result = Result()
    letters, ids = cycle(order.letters), delivery_ids()
    most = order.most or float("inf")
    with lines(order) as (selector, idle):
        sent, busy = 0, 0
        begin, cpu = time.perf_counter(), time.process_time()
        pause = 0.0
        while True:
            now = time.perf_counter() - begin
            more = now < order.seconds and sent < most
            if not (more or busy) or now > order.seconds + PATIENCE_SECONDS:
                break
            allowed = now * order.per_second if order.per_second else float("inf")
            while more and idle and sent < min(allowed, most):
                idle.popleft().send(next(letters), next(ids))
                sent, busy = sent + 1, busy + 1
            pause = 0.001 if order.per_second else 1.0
            for key, _ in selector.select(pause):
                line = key.data
                try:
                    if not line.answered():
                        continue
                except OSError:
                    selector.unregister(line.socket)
                    result.failures, busy = result.failures + 1, busy - 1
                    continue
                result.latencies.append(time.perf_counter() - line.sent_at)
                result.statuses[line.status] += 1
                idle.append(line)
                busy -= 1
        result.seconds = time.perf_counter() - begin
        result.failures += busy
        result.cpu = (time.process_time() - cpu) / result.seconds
    return result


def allow_descriptors() -> None:
    """Allow as many open connections as the bench needs, where the machine does."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = DESCRIPTORS if hard == resource.RLIM_INFINITY else min(DESCRIPTORS, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
