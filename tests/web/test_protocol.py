"""What strangers may send before a request is understood is bounded."""

import asyncio
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
import uvicorn
from starlette.types import Receive, Scope, Send

from bot.serving import server
from bot.settings import Settings
from bot.web import protocol

PATIENCE_SECONDS = 60
Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer at once, whatever is asked, with the number of bytes of the first part of its body."""
    body = (await receive()).get("body", b"")
    said = b"%d" % len(body)
    headers = [(b"content-length", b"%d" % len(said))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": said})


@asynccontextmanager
async def serving() -> AsyncIterator[int]:
    """Serve as the web process does; yield the port."""
    listener = socket.create_server(("127.0.0.1", 0))
    there = uvicorn.Server(server(application, Settings(), lifespan="off"))
    running = asyncio.ensure_future(there.serve([listener]))
    try:
        yield listener.getsockname()[1]
    finally:
        there.should_exit = True
        await running
        listener.close()


@asynccontextmanager
async def connected(port: int) -> AsyncIterator[Streams]:
    """Open a connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        yield reader, writer
    finally:
        writer.close()


async def the_end(reader: asyncio.StreamReader) -> bytes:
    """Read until the other side hangs up; return what it said."""
    said = b""
    async with asyncio.timeout(PATIENCE_SECONDS):
        try:
            while part := await reader.read(65536):
                said += part
        except ConnectionResetError:
            pass
    return said


async def test_an_endless_head_is_refused() -> None:
    async with serving() as port:
        async with connected(port) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx-endless: ")
            for _ in range(64):
                writer.write(b"a" * 4096)
            assert b"431" in await the_end(reader)
        async with connected(port) as (reader, writer):
            writer.write(b"GET / HTTP/1.1\r\n")
            for number in range(4096):
                writer.write(b"x-%04d: 0123456789abcdef\r\n" % number)
            assert b"431" in await the_end(reader)


@pytest.mark.parametrize("sent", [b"", b"GET", b"GET / HTTP/1.1\r\nhost: x\r\n"])
async def test_a_head_that_does_not_come_is_given_up(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.1)
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(sent)
        assert b"408" in await the_end(reader)


@pytest.mark.parametrize("sent", [b"\r\n", b"GET"])
async def test_a_connection_that_was_used_is_not_kept_open_by_half_a_request(
    monkeypatch: pytest.MonkeyPatch, sent: bytes
) -> None:
    monkeypatch.setattr(protocol, "HEAD_SECONDS", 0.3)
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n")
        await reader.readuntil(b"\r\n\r\n0")
        writer.write(sent)
        await the_end(reader)


async def test_a_long_body_after_its_answer_is_no_head() -> None:
    size = 4 * 1024 * 1024
    async with serving() as port, connected(port) as (reader, writer):
        for _ in range(2):
            writer.write(b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n" % size)
            for _ in range(4):
                writer.write(b"b" * (size // 4))
            await writer.drain()
            assert b"200 OK" in await reader.readuntil(b"\r\n\r\n")
            await reader.read(16)


async def test_many_connections_at_once_are_answered() -> None:
    async with serving() as port:

        async def one() -> bytes:
            async with connected(port) as (reader, writer):
                writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n")
                return await the_end(reader)

        said = await asyncio.gather(*(one() for _ in range(300)))
    assert all(b"200 OK" in each for each in said)


async def test_an_answer_cannot_be_split_by_what_was_sent() -> None:
    async with serving() as port, connected(port) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nhost: x\r\nx-a: b\rSet-Cookie: c=d\r\n\r\n")
        assert b"Set-Cookie" not in await the_end(reader)
