"""The only way out of a sandbox, while setting up: a proxy that opens HTTPS to the hosts allowed.

It understands CONNECT alone (RFC 9110, 9.3.6), sees no content, and speaks to a unix socket.
"""

import asyncio
import ipaddress
import os
import socket as sockets
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import structlog

from bot.agent.bubblewrap import owner

log = structlog.get_logger()

HTTPS = 443
MOST_UP_BYTES = 64 << 20
MOST_DOWN_BYTES = 4 << 30
MOST_AT_ONCE = 64
HEAD_SECONDS = 10.0
CONNECT_SECONDS = 15.0
MOST_HEAD_BYTES = 8 << 10
CHUNK_BYTES = 1 << 16

ANSWER = "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {length}\r\n"
OPENED = b"HTTP/1.1 200 Connection established\r\n\r\n"
NOT_CONNECT = "Only HTTPS goes out from here."
NOT_ALLOWED = "{target} is not among the hosts allowed while setting up."
PRIVATE = "{host} has no public address."
UNREACHABLE = "{host} could not be reached."
USED_UP = "More was sent than setting up may send."

NAT64 = ipaddress.IPv6Network("64:ff9b::/96")
UNICAST = ipaddress.IPv6Network("2000::/3")
NEVER_PUBLIC = tuple(map(ipaddress.IPv6Network, ("64:ff9b:1::/48", "2002::/16")))
"""Networks of IPv6 that hold addresses of IPv4, private ones too; NAT64's we can look at."""

Resolve = Callable[[str, int], Awaitable[Sequence[str]]]


class Denied(Exception):  # noqa: N818 - named as what happened
    """A request that is not let out: the status it is answered with, and why."""

    def __init__(self, status: str, words: str) -> None:
        super().__init__(words)
        self.status = status


async def resolved(host: str, port: int) -> Sequence[str]:
    """Return the addresses of a host, as this machine resolves it."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=sockets.SOCK_STREAM)
    return [str(each[4][0]) for each in found]


def public(address: str) -> bool:
    """Tell whether an address is of the internet, and not of this machine or its networks."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if ip.version == 6 and ip in NAT64:
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    if ip.version == 6 and (ip not in UNICAST or any(ip in each for each in NEVER_PUBLIC)):
        return False
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


@dataclass
class Exit:
    """What a proxy lets through, and how much it still lets through.

    `hosts` are names, or `*.name` for all below a name. `ports`, `resolve` and `public` are others
    in tests alone.
    """

    hosts: Collection[str]
    ports: Collection[int] = (HTTPS,)
    resolve: Resolve = resolved
    public: Callable[[str], bool] = public
    up_bytes: int = MOST_UP_BYTES
    down_bytes: int = MOST_DOWN_BYTES
    open: set[asyncio.Task[None]] = field(default_factory=set)

    def allows(self, host: str, port: int) -> bool:
        """Tell whether a host is on the list."""
        return port in self.ports and any(matches(host, each) for each in self.hosts)


def matches(host: str, allowed: str) -> bool:
    """Tell whether a name is the one allowed, or below `*.name`."""
    allowed = allowed.lower().rstrip(".")
    if allowed.startswith("*."):
        return len(allowed) > 2 and host.endswith(allowed[1:]) and host != allowed[1:]
    return host == allowed


@asynccontextmanager
async def egress(
    socket: Path, hosts: Collection[str], *, exit_: Exit | None = None
) -> AsyncIterator[None]:
    """Serve the proxy on a unix socket that the sandbox's user alone may use.

    `hosts` are names, or `*.name`. At the end all its connections are closed and the socket is
    gone.
    """
    way = exit_ or Exit(hosts)
    server = await asyncio.start_unix_server(
        lambda reader, writer: admit(way, reader, writer),
        sock=listening(socket),
        limit=MOST_HEAD_BYTES,
    )
    try:
        yield
    finally:
        server.close()
        for task in tuple(way.open):
            task.cancel()
        await asyncio.gather(*way.open, return_exceptions=True)
        remove(socket)


def listening(path: Path) -> sockets.socket:
    """Make a socket that nobody else can use.

    It is named by way of its folder's descriptor: a path of more than 107 bytes names no socket.
    """
    remove(path)
    folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    server = sockets.socket(sockets.AF_UNIX)
    try:
        server.bind(f"/proc/self/fd/{folder}/{path.name}")
    except OSError:
        server.close()
        raise
    finally:
        os.close(folder)
    path.chmod(0o600)
    uid = owner()
    if uid is not None:
        os.chown(path, uid, uid)
    return server


def remove(path: Path) -> None:
    """Remove a socket that may be there."""
    path.unlink(missing_ok=True)


def admit(way: Exit, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Serve a connection, unless there are too many."""
    if len(way.open) >= MOST_AT_ONCE:
        writer.close()
        return
    task = asyncio.create_task(serve(way, reader, writer))
    way.open.add(task)
    task.add_done_callback(way.open.discard)


async def serve(way: Exit, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    """Answer one request, and carry what follows."""
    try:
        async with asyncio.timeout(HEAD_SECONDS):
            host, port = target(await reader.readuntil(b"\r\n\r\n"))
        far = await connected(way, host, port)
        writer.write(OPENED)
        await both(way, (reader, writer), far)
    except Denied as denied:
        log.info("egress denied", why=str(denied))
        with suppress(OSError):
            writer.write(answer(denied))
            await writer.drain()
    except (OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        pass  # a client that went away, or is none
    finally:
        await closed(writer)


def answer(denied: Denied) -> bytes:
    """Write a refusal as HTTP."""
    body = f"{denied}\n"
    head = ANSWER.format(status=denied.status, length=len(body.encode()))
    return f"{head}Connection: close\r\n\r\n{body}".encode()


def target(head: bytes) -> tuple[str, int]:
    """Return the host and port of a CONNECT request. Raises `Denied` at anything else."""
    words = head.split(b"\r\n", 1)[0].decode("latin-1").split()
    if len(words) != 3 or words[0] != "CONNECT":
        raise Denied("405 Method Not Allowed", NOT_CONNECT)
    host, _, port = words[1].rpartition(":")
    if not (port.isascii() and port.isdecimal()):
        raise Denied("400 Bad Request", NOT_CONNECT)
    return host.lower().rstrip("."), int(port)


async def connected(
    way: Exit, host: str, port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to an allowed host, at an address that was looked at: no second look can differ."""
    if not way.allows(host, port):
        raise Denied("403 Forbidden", NOT_ALLOWED.format(target=f"{host}:{port}"))
    try:
        async with asyncio.timeout(CONNECT_SECONDS):
            addresses = [each for each in await way.resolve(host, port) if way.public(each)]
            if not addresses:
                raise Denied("403 Forbidden", PRIVATE.format(host=host))
            return await first_of(addresses, port)
    except (OSError, UnicodeError):
        raise Denied("502 Bad Gateway", UNREACHABLE.format(host=host)) from None


async def first_of(
    addresses: Sequence[str], port: int
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """Connect to the first address that answers."""
    for address in addresses[:-1]:
        with suppress(OSError):
            return await asyncio.open_connection(address, port)
    return await asyncio.open_connection(addresses[-1], port)


async def both(
    way: Exit,
    near: tuple[asyncio.StreamReader, asyncio.StreamWriter],
    far: tuple[asyncio.StreamReader, asyncio.StreamWriter],
) -> None:
    """Carry bytes both ways until both sides have said all, or either breaks off."""
    try:
        async with asyncio.TaskGroup() as directions:
            directions.create_task(carry(near[0], far[1], lambda size: spend(way, up=size)))
            directions.create_task(carry(far[0], near[1], lambda size: spend(way, down=size)))
    except* (OSError, Denied) as broken:
        log.info("egress broken off", why=[str(each) for each in broken.exceptions])
    finally:
        await closed(far[1])


def spend(way: Exit, *, up: int = 0, down: int = 0) -> None:
    """Count bytes of all connections. Raises `Denied` when there are too many."""
    way.up_bytes -= up
    way.down_bytes -= down
    if way.up_bytes < 0 or way.down_bytes < 0:
        raise Denied("403 Forbidden", USED_UP)


async def carry(
    reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[int], None]
) -> None:
    """Carry bytes one way until their end."""
    while chunk := await reader.read(CHUNK_BYTES):
        count(len(chunk))
        writer.write(chunk)
        await writer.drain()
    if writer.can_write_eof():
        writer.write_eof()


async def closed(writer: asyncio.StreamWriter) -> None:
    """Close a connection that may be closed already."""
    with suppress(OSError):
        writer.close()
        await writer.wait_closed()
