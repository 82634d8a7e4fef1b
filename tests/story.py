"""Writes small histories as GitHub would deliver them, for the golden cases and for R9."""

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

INSTALLATION = 4242
OWNER = {"login": "acme", "id": 77, "type": "Organization"}
PERSON = {"login": "ada", "id": 501, "type": "User"}
OTHER = {"login": "grace", "id": 502, "type": "User"}
BOT = {"login": "dependabot[bot]", "id": 49699333, "type": "Bot"}
ZERO = "0" * 40

Delivery = tuple[str, dict[str, Any]]


def sha(name: str) -> str:
    """Return a commit's SHA for a short name such as v1."""
    return hashlib.sha1(name.encode()).hexdigest()


def at(moment: str, year: int = 2026) -> datetime:
    """Read `09-01 09:00` (UTC) as a time."""
    return datetime.strptime(f"{year}-{moment}", "%Y-%m-%d %H:%M").replace(tzinfo=UTC)


def iso(moment: datetime) -> str:
    """Write a time as GitHub does."""
    return moment.strftime("%Y-%m-%dT%H:%M:%SZ")


@dataclass
class Story:
    """One repository's deliveries, in the order in which they were written."""

    name: str = "api"
    repository_id: int = 900
    deliveries: list[Delivery] = field(default_factory=list)
    next_id: int = 10_000
    head: str = ZERO

    def __post_init__(self) -> None:
        if self.deliveries:
            return
        account = OWNER | {"node_id": "O_77"}
        installed = {
            "id": INSTALLATION,
            "account": account,
            "repository_selection": "all",
            "permissions": {"contents": "read"},
            "events": ["push"],
            "created_at": iso(at("08-01 00:00")),
            "updated_at": iso(at("08-01 00:00")),
            "suspended_at": None,
        }
        repositories = [{"id": self.repository_id, "full_name": self.full_name, "private": True}]
        self.deliveries.append(
            (
                "installation",
                {
                    "action": "created",
                    "installation": installed,
                    "repositories": [r | {"name": self.name} for r in repositories],
                    "sender": PERSON,
                },
            )
        )

    @property
    def full_name(self) -> str:
        """The repository's name."""
        return f"acme/{self.name}"

    def number(self) -> int:
        """Return an id nobody has yet."""
        self.next_id += 1
        return self.next_id

    def tell(self, event: str, when: datetime, **payload: Any) -> None:
        """Write one delivery."""
        common = {
            "repository": self.repository(when),
            "organization": {"login": "acme", "id": OWNER["id"]},
            "installation": {"id": INSTALLATION},
            "sender": PERSON,
        }
        self.deliveries.append((event, common | payload))

    def repository(self, when: datetime) -> dict[str, Any]:
        """Return the repository as GitHub describes it in every payload."""
        return {
            "id": self.repository_id,
            "name": self.name,
            "full_name": self.full_name,
            "private": True,
            "owner": OWNER,
            "html_url": f"https://github.com/{self.full_name}",
            "fork": False,
            "archived": False,
            "default_branch": "main",
            "created_at": iso(at("01-01 00:00")),
            "updated_at": iso(at("01-01 00:00")),
            "pushed_at": iso(when),
        }

    def push(
        self,
        ref: str,
        when: datetime,
        commits: list[dict[str, Any]],
        *,
        before: str = "",
        forced: bool = False,
    ) -> None:
        """Push commits (oldest first) to a branch; main keeps its head."""
        main = ref == "main"
        before = before or (self.head if main else ZERO)
        after = commits[-1]["id"]
        if main:
            self.head = after
        repository = self.repository(when) | {
            "created_at": int(at("01-01 00:00").timestamp()),
            "pushed_at": int(when.timestamp()),
        }
        self.tell(
            "push",
            when,
            ref=f"refs/heads/{ref}",
            before=before,
            after=after,
            created=before == ZERO,
            deleted=False,
            forced=forced,
            base_ref=None,
            compare=f"https://github.com/{self.full_name}/compare",
            commits=commits,
            head_commit=commits[-1],
            pusher={"name": "ada", "email": "ada@example.com"},
            repository=repository,
        )

    def commit(
        self, name: str, authored: datetime, message: str = "", *paths: str, author: Any = PERSON
    ) -> dict[str, Any]:
        """Return a commit as a push lists it."""
        who = {"name": author["login"], "email": "x@example.com", "username": author["login"]}
        return {
            "id": sha(name),
            "tree_id": sha(f"tree of {name}"),
            "distinct": True,
            "message": message or f"Change {name}",
            "timestamp": iso(authored),
            "url": f"https://github.com/{self.full_name}/commit/{sha(name)}",
            "author": who,
            "committer": who,
            "added": [],
            "removed": [],
            "modified": list(paths),
        }

    def pull_request(
        self,
        number: int,
        authored: datetime | list[datetime],
        merged: datetime,
        merge: str,
        *paths: str,
        opened: datetime | None = None,
        author: Any = PERSON,
        title: str = "",
        branch: str = "",
        labels: tuple[str, ...] = (),
    ) -> None:
        """Write a pull request: its branch's push, opening, squash merge and the push to main."""
        times = authored if isinstance(authored, list) else [authored]
        branch = branch or f"feature/{number}"
        commits = [
            self.commit(f"pr{number}-{index}", when, "", *paths, author=author)
            for index, when in enumerate(times)
        ]
        opened = opened or times[-1] + timedelta(minutes=1)
        described = {
            "id": 70_000 + number,
            "number": number,
            "title": title or f"Feature {number}",
            "html_url": f"https://github.com/{self.full_name}/pull/{number}",
            "user": author,
            "draft": False,
            "labels": [{"name": label} for label in labels],
            "base": {"ref": "main", "sha": self.head, "repo": self.repository(opened)},
            "head": {"ref": branch, "sha": commits[-1]["id"], "repo": self.repository(opened)},
            "commits": len(commits),
            "additions": 1,
            "deletions": 1,
            "changed_files": 1,
            "created_at": iso(opened),
        }
        self.push(branch, opened, commits)
        opening = {"state": "open", "merged": False, "merged_at": None, "closed_at": None}
        opening |= {"merge_commit_sha": None, "updated_at": iso(opened)}
        self.tell(
            "pull_request", opened, action="opened", number=number, pull_request=described | opening
        )
        closing = {"state": "closed", "merged": True, "merged_at": iso(merged)}
        closing |= {"closed_at": iso(merged), "updated_at": iso(merged)}
        closing |= {"merge_commit_sha": sha(merge), "merged_by": OTHER}
        self.tell(
            "pull_request", merged, action="closed", number=number, pull_request=described | closing
        )
        squash = self.commit(merge, merged, f"{described['title']} (#{number})", *paths)
        self.push("main", merged, [squash])

    def attempt(
        self, name: str, begun: datetime, *states: tuple[str, datetime], environment: str = ""
    ) -> None:
        """Write one deployment of a commit with the states it went through."""
        environment = environment or "production"
        deployment = {
            "id": self.number(),
            "sha": sha(name),
            "ref": "main",
            "task": "deploy",
            "environment": environment,
            "original_environment": environment,
            "production_environment": "prod" in environment,
            "transient_environment": False,
            "creator": PERSON,
            "created_at": iso(begun),
            "updated_at": iso(begun),
        }
        self.tell("deployment", begun, action="created", deployment=deployment)
        for state, when in states:
            status = {
                "id": self.number(),
                "state": state,
                "creator": PERSON,
                "environment": environment,
                "created_at": iso(when),
                "updated_at": iso(when),
            }
            told = deployment | {"updated_at": iso(when)}
            self.tell(
                "deployment_status",
                when,
                action="created",
                deployment_status=status,
                deployment=told,
            )

    def deploy(self, name: str, when: datetime, environment: str = "") -> None:
        """Write a deployment that succeeded."""
        begun = when - timedelta(minutes=3)
        self.attempt(
            name,
            begun,
            ("in_progress", begun + timedelta(minutes=1)),
            ("success", when),
            environment=environment,
        )

    def baseline(self, environment: str = "") -> None:
        """Write D0: v0, deployed on 08-31."""
        if self.head == ZERO:
            self.push("main", at("08-30 09:00"), [self.commit("v0", at("08-30 09:00"))])
        self.deploy("v0", at("08-31 12:00"), environment)
