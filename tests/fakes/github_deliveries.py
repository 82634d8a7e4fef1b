"""The fake GitHub's log of what it delivered, or tried to."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import count
from typing import Any
from uuid import uuid4

SAID = {200: "OK", 502: "failed to connect to host", 504: "timed out"}


@dataclass
class FakeAttempt:
    """One attempt to deliver. `gone`: GitHub has its request no more."""

    id: int
    guid: str
    event: str
    payload: dict[str, Any]
    delivered_at: datetime
    status_code: int = 502
    redelivery: bool = False
    gone: bool = False

    def listed(self) -> dict[str, Any]:
        """Return it as the list shows it."""
        installation = self.payload.get("installation") or {}
        return {
            "id": self.id,
            "guid": self.guid,
            "delivered_at": self.delivered_at.strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "redelivery": self.redelivery,
            "duration": 0.03,
            "status": SAID.get(self.status_code, f"Invalid HTTP Response: {self.status_code}"),
            "status_code": self.status_code,
            "event": self.event,
            "action": self.payload.get("action"),
            "installation_id": installation.get("id"),
            "repository_id": (self.payload.get("repository") or {}).get("id"),
            "throttled_at": None,
        }

    def told(self) -> dict[str, Any]:
        """Return it in full."""
        headers = {
            "Accept": "*/*",
            "Content-Type": "application/json",
            "User-Agent": "GitHub-Hookshot/0aa8d4f",
            "X-GitHub-Delivery": self.guid,
            "X-GitHub-Event": self.event,
            "X-GitHub-Hook-ID": "42",
            "X-GitHub-Hook-Installation-Target-ID": "7",
            "X-GitHub-Hook-Installation-Target-Type": "integration",
            "X-Hub-Signature-256": "sha256=0",
        }
        return self.listed() | {
            "url": None,
            "request": {"headers": headers, "payload": self.payload},
            "response": {"headers": None, "payload": None},
        }


@dataclass
class FakeLog:
    """What was delivered, oldest first. `filters`: it knows `status`, as old servers do not.

    `again` are the ids that were asked to be delivered again. `headers` are added to every answer.
    """

    attempts: list[FakeAttempt] = field(default_factory=list)
    most_per_page: int = 100
    filters: bool = True
    again: list[int] = field(default_factory=list)
    headers: dict[str, str] = field(default_factory=dict)
    ids: Iterator[int] = field(default_factory=lambda: count(12_345_678_901))

    def add(
        self,
        event: str,
        payload: dict[str, Any],
        *,
        ago: timedelta = timedelta(hours=1),
        guid: str = "",
        **more: Any,
    ) -> FakeAttempt:
        """Note an attempt that was made so long ago; it failed, unless told otherwise."""
        at = datetime.now(UTC) - ago
        made = FakeAttempt(next(self.ids), guid or str(uuid4()), event, payload, at, **more)
        self.attempts.append(made)
        return made

    def repeat(self, attempt: FakeAttempt, status_code: int, **more: Any) -> FakeAttempt:
        """Note that an attempt was made again."""
        return self.add(
            attempt.event,
            attempt.payload,
            guid=attempt.guid,
            status_code=status_code,
            redelivery=True,
            **more,
        )

    def newest_first(self) -> list[FakeAttempt]:
        """Return the attempts as they are listed."""
        return sorted(self.attempts, key=lambda each: (each.delivered_at, each.id), reverse=True)
