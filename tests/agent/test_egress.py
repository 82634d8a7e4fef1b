"""The proxy that lets a setup out: to the hosts allowed, over HTTPS, and to nothing private."""

import asyncio
import os
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from bot.agent import egress as module
from bot.agent.egress import Exit, egress, matches, public
from bot.agent.sandbox import Sandbox
from tests.agent.sandboxes import given_folder

ALLOWED = "packages.example"
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def to_loopback(host: str, port: int) -> Sequence[str]:
    return ["127.0.0.1"]


async def answer_in_capitals(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    while chunk := await reader.read(1 << 16):
        writer.write(chunk.upper())
    writer.close()


@asynccontextmanager
async def upstream() -> AsyncIterator[int]:
    """A server on the loopback that answers in capitals; yields its port."""
    server = await asyncio.start_server(answer_in_capitals, "127.0.0.1", 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


@asynccontextmanager
async def proxied(tmp_path: Path, port: int, **more: object) -> AsyncIterator[Path]:
    """A proxy that lets out to `ALLOWED`, which is the loopback in these tests."""
    given = {"ports": (port,), "resolve": to_loopback, "public": lambda _: True, **more}
    socket = tmp_path / "egress.sock"
    async with egress(socket, (), exit_=Exit((ALLOWED,), **given)):
        yield socket


async def asked(socket: Path, head: str) -> tuple[str, Streams]:
    """Send a request and return the first line of the answer; "" where there is none."""
    os.chdir(socket.parent)
    streams = await asyncio.open_unix_connection(socket.name)
    streams[1].write(head.encode())
    try:
        return (await streams[0].readline()).decode().strip(), streams
    except ConnectionError:
        return "", streams


async def ended(writer: asyncio.StreamWriter) -> None:
    """Close a connection, whatever the other side did with it."""
    writer.close()
    with suppress(ConnectionError):
        await writer.wait_closed()


async def rest(reader: asyncio.StreamReader) -> bytes:
    """What comes until the other side is done, which is soon."""
    return await asyncio.wait_for(reader.read(), 10)


async def refusal(socket: Path, head: str) -> str:
    """Send a request that is refused and return the answer's status and words."""
    first, (reader, writer) = await asked(socket, head)
    words = (await rest(reader)).decode().split("\r\n\r\n")[1]
    await ended(writer)
    return f"{first.removeprefix('HTTP/1.1 ')}: {words.strip()}"


@pytest.fixture(autouse=True)
def home(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir("/")


async def test_an_allowed_host_is_reached_both_ways(tmp_path: Path) -> None:
    async with upstream() as port, proxied(tmp_path, port) as socket:
        head = f"CONNECT {ALLOWED.upper()}.:{port} HTTP/1.1\r\nHost: x\r\n\r\n"
        first, (reader, writer) = await asked(socket, head)
        assert first == "HTTP/1.1 200 Connection established"
        assert await reader.readline() == b"\r\n"
        writer.write(b"hello " * 100_000)
        writer.write_eof()
        assert await rest(reader) == b"HELLO " * 100_000
        await ended(writer)


@pytest.mark.parametrize(
    ("request_line", "wanted"),
    [
        ("GET http://packages.example/ HTTP/1.1", "405 Method Not Allowed"),
        ("POST /x HTTP/1.1", "405 Method Not Allowed"),
        ("CONNECT packages.example HTTP/1.1", "400 Bad Request"),
        ("CONNECT packages.example:²² HTTP/1.1", "400 Bad Request"),
        ("CONNECT", "405 Method Not Allowed"),
        ("CONNECT packages.example:22 HTTP/1.1", "403 Forbidden"),
        ("CONNECT packages.example:80 HTTP/1.1", "403 Forbidden"),
        ("CONNECT evil.example:443 HTTP/1.1", "403 Forbidden"),
        ("CONNECT packages.example.evil.example:443 HTTP/1.1", "403 Forbidden"),
        ("CONNECT evilpackages.example:443 HTTP/1.1", "403 Forbidden"),
        ("CONNECT 127.0.0.1:443 HTTP/1.1", "403 Forbidden"),
        ("CONNECT [::1]:443 HTTP/1.1", "403 Forbidden"),
        ("CONNECT packages.example@evil.example:443 HTTP/1.1", "403 Forbidden"),
    ],
)
async def test_everything_else_is_refused(tmp_path: Path, request_line: str, wanted: str) -> None:
    async with proxied(tmp_path, 443) as socket:
        assert (await refusal(socket, f"{request_line}\r\n\r\n")).startswith(wanted)


async def test_the_refusal_names_what_was_asked_for(tmp_path: Path) -> None:
    async with proxied(tmp_path, 443) as socket:
        said = await refusal(socket, "CONNECT evil.example:443 HTTP/1.1\r\n\r\n")
    assert said.endswith("evil.example:443 is not among the hosts allowed while setting up.")


async def test_a_public_name_of_a_private_address_is_refused(tmp_path: Path) -> None:
    async with upstream() as port, proxied(tmp_path, port, public=public) as socket:
        said = await refusal(socket, f"CONNECT {ALLOWED}:{port} HTTP/1.1\r\n\r\n")
    assert said == "403 Forbidden: packages.example has no public address."


async def test_a_name_is_looked_up_once(tmp_path: Path) -> None:
    answers = [["127.0.0.1"]]

    async def changing(host: str, port: int) -> Sequence[str]:
        return answers.pop()

    async with upstream() as port, proxied(tmp_path, port, resolve=changing) as socket:
        first, (_, writer) = await asked(socket, f"CONNECT {ALLOWED}:{port} HTTP/1.1\r\n\r\n")
        await ended(writer)
    assert (first, answers) == ("HTTP/1.1 200 Connection established", [])


async def test_the_second_address_serves_where_the_first_does_not(tmp_path: Path) -> None:
    async def both(host: str, port: int) -> Sequence[str]:
        return ["127.0.0.2", "127.0.0.1"]

    async with upstream() as port, proxied(tmp_path, port, resolve=both) as socket:
        first, (_, writer) = await asked(socket, f"CONNECT {ALLOWED}:{port} HTTP/1.1\r\n\r\n")
        await ended(writer)
    assert first == "HTTP/1.1 200 Connection established"


@pytest.mark.parametrize("error", [OSError("no such host"), UnicodeError("label too long")])
async def test_a_host_that_is_not_found_is_said(tmp_path: Path, error: Exception) -> None:
    async def failing(host: str, port: int) -> Sequence[str]:
        raise error

    async with proxied(tmp_path, 443, resolve=failing) as socket:
        said = await refusal(socket, f"CONNECT {ALLOWED}:443 HTTP/1.1\r\n\r\n")
    assert said == "502 Bad Gateway: packages.example could not be reached."


async def test_more_than_may_be_sent_breaks_off(tmp_path: Path) -> None:
    async with upstream() as port, proxied(tmp_path, port, up_bytes=1000) as socket:
        _, (reader, writer) = await asked(socket, f"CONNECT {ALLOWED}:{port} HTTP/1.1\r\n\r\n")
        writer.write(b"x" * 1001)
        assert await rest(reader) == b"\r\n"
        await ended(writer)
        _, (reader, writer) = await asked(socket, f"CONNECT {ALLOWED}:{port} HTTP/1.1\r\n\r\n")
        writer.write(b"x")
        assert await rest(reader) == b"\r\n"
        await ended(writer)


async def test_more_than_may_come_breaks_off(tmp_path: Path) -> None:
    async with upstream() as port, proxied(tmp_path, port, down_bytes=1000) as socket:
        _, (reader, writer) = await asked(socket, f"CONNECT {ALLOWED}:{port} HTTP/1.1\r\n\r\n")
        writer.write(b"x" * 1001)
        assert len(await rest(reader)) <= 1002
        await ended(writer)


@pytest.mark.parametrize("head", ["", "CONNECT", "x" * 20_000 + "\r\n\r\n"])
async def test_no_request_at_all_is_closed(
    tmp_path: Path, head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "HEAD_SECONDS", 0.2)
    async with proxied(tmp_path, 443) as socket:
        first, (_, writer) = await asked(socket, head)
        await ended(writer)
    assert first == ""


async def test_connections_are_counted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MOST_AT_ONCE", 1)
    async with upstream() as port, proxied(tmp_path, port) as socket:
        head = f"CONNECT {ALLOWED}:{port} HTTP/1.1\r\n\r\n"
        first, (_, one) = await asked(socket, head)
        second, (_, two) = await asked(socket, head)
        await ended(one)
        await ended(two)
    assert (first, second) == ("HTTP/1.1 200 Connection established", "")


async def test_the_end_closes_what_is_open_and_leaves_no_socket(tmp_path: Path) -> None:
    async with upstream() as port:
        async with proxied(tmp_path, port) as socket:
            head = f"CONNECT {ALLOWED}:{port} HTTP/1.1\r\n\r\n"
            _, (reader, writer) = await asked(socket, head)
        assert await rest(reader) == b"\r\n"
        await ended(writer)
    assert not socket.exists()


async def test_the_socket_is_for_one_user_and_may_have_a_long_path(tmp_path: Path) -> None:
    folder = tmp_path / ("long" * 40)
    folder.mkdir()
    (folder / "egress.sock").touch()
    async with proxied(folder, 443) as socket:
        assert socket.is_socket()
        assert socket.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("allowed", "host", "wanted"),
    [
        ("packages.example", "packages.example", True),
        ("Packages.Example.", "packages.example", True),
        ("packages.example", "a.packages.example", False),
        ("*.packages.example", "a.packages.example", True),
        ("*.packages.example", "a.b.packages.example", True),
        ("*.packages.example", "packages.example", False),
        ("*.packages.example", "evilpackages.example", False),
        ("*.packages.example", ".packages.example", False),
        ("*", "packages.example", False),
        ("*.", "packages.example", False),
        ("", "", True),
    ],
)
def test_hosts_are_names_or_all_below_a_name(allowed: str, host: str, wanted: bool) -> None:
    assert matches(host, allowed) is wanted


@pytest.mark.parametrize(
    ("address", "wanted"),
    [
        ("1.1.1.1", True),
        ("2606:4700:4700::1111", True),
        ("64:ff9b::101:101", True),
        ("127.0.0.1", False),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("100.64.0.1", False),
        ("169.254.169.254", False),
        ("0.1.2.3", False),
        ("224.0.0.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("::ffff:127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("64:ff9b::a00:1", False),
        ("64:ff9b:1::a00:1", False),
        ("2002:a00:1::", False),
        ("fe80::1%eth0", False),
        ("fd00:ec2::254", False),
        ("fec0::2", False),
        ("::127.0.0.1", False),
        ("ff02::1", False),
    ],
)
def test_public_addresses_are_those_of_the_internet(address: str, wanted: bool) -> None:
    assert public(address) is wanted


FETCH = """
import http.client, os, urllib.request
print(urllib.request.getproxies()["https"])
for host in ("packages.example", "evil.example"):
    connection = http.client.HTTPConnection("127.0.0.1", 3128)
    connection.set_tunnel(host, {port})
    try:
        connection.connect()
        connection.sock.sendall(b"from inside")
        print(connection.sock.recv(100))
    except OSError as error:
        print(error)
"""


async def test_a_setup_reaches_an_allowed_host_from_the_sandbox(box: Sandbox) -> None:
    with given_folder() as folder:
        async with upstream() as port, proxied(folder, port) as socket:
            setup = replace(box, proxy=socket)
            said = await setup.run("python3 -", stdin=FETCH.format(port=port).encode())
            later = await box.run("exec 3<>/dev/tcp/127.0.0.1/3128; echo $HTTPS_PROXY; ls /run")
    assert said.output.splitlines() == [
        "http://127.0.0.1:3128",
        "b'FROM INSIDE'",
        "Tunnel connection failed: 403 Forbidden",
    ]
    assert "Connection refused" in later.output
    assert "egress" not in later.output


async def test_a_setup_is_still_alone(box: Sandbox) -> None:
    with given_folder() as folder:
        async with upstream() as port, proxied(folder, port) as socket:
            setup = replace(box, proxy=socket)
            said = await setup.run(f"exec 3<>/dev/tcp/127.0.0.1/{port}; echo > /dev/tcp/1.1.1.1/9")
    assert "Connection refused" in said.output
    assert "Network is unreachable" in said.output
