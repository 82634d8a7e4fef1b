"""HTTP/1.1 as uvicorn speaks it, with bounds on what is sent before a request is understood.

<https://uvicorn.dev/settings/#implementation>: with httptools, a head may be endless and take for
ever, and what a stranger sends of it is kept in memory.
"""

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol

HEAD_BYTES = 64 * 1024
HEAD_SECONDS = 10
TOO_LONG = b"HTTP/1.1 431 Request Header Fields Too Large\r\nconnection: close\r\n\r\n"
TOO_SLOW = b"HTTP/1.1 408 Request Timeout\r\nconnection: close\r\n\r\n"


class BoundedProtocol(HttpToolsProtocol):
    """One connection. A request's head is at most 64 KiB, and arrives within 10 seconds."""

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self.head_bytes: int | None = None
        self.patience: asyncio.TimerHandle | None = None

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a request."""
        super().connection_made(transport)
        self.wait()

    def connection_lost(self, exc: Exception | None) -> None:
        """Wait for nothing any more."""
        self.wait_no_more()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Count what belongs to a head that is not whole yet; wait for one after an answer."""
        super().data_received(data)
        if self.head_bytes is not None:
            self.head_bytes += len(data)
            if self.head_bytes > HEAD_BYTES:
                self.refuse(TOO_LONG)
        elif self.patience is None and self.between_requests:
            self.patience = self.loop.call_later(HEAD_SECONDS, self.refuse, b"")

    @property
    def between_requests(self) -> bool:
        """Whether nothing is being answered, and uvicorn itself waits for nothing."""
        answered = self.cycle is None or self.cycle.response_complete
        return answered and self.timeout_keep_alive_task is None

    def on_message_begin(self) -> None:
        """Begin to wait for the rest of a head."""
        super().on_message_begin()
        self.wait()

    def on_headers_complete(self) -> None:
        """Let the request be answered; its body is its handler's concern."""
        self.wait_no_more()
        super().on_headers_complete()

    def wait(self) -> None:
        """Wait for a head from now on."""
        self.wait_no_more()
        self.head_bytes = 0
        self.patience = self.loop.call_later(HEAD_SECONDS, self.refuse, TOO_SLOW)

    def wait_no_more(self) -> None:
        """Forget that a head was waited for."""
        self.head_bytes = None
        if self.patience:
            self.patience.cancel()
            self.patience = None

    def refuse(self, answer: bytes) -> None:
        """Say what is wrong, and hang up."""
        self.wait_no_more()
        if not self.transport.is_closing():
            self.transport.write(answer)
            self.transport.close()
