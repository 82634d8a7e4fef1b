"""Remembers: tables, the questions asked of them, the metrics. Knows no network and no process."""

from models.budgets import Budget, Usage
from models.commits import Commit, Comparison, Push, PushCommit
from models.deliveries import Delivery, DeliveryStatus, JobStatus, QueuedJob
from models.deployments import (
    Deployment,
    DeploymentChange,
    DeploymentStatus,
    Service,
    ServiceDeployment,
)
from models.organizations import (
    Connection,
    ConnectionRepository,
    Credential,
    Organization,
    OrganizationSettings,
)
from models.prompts import AgentSettings, Prompt
from models.pull_requests import (
    Issue,
    IssueComment,
    PullRequest,
    PullRequestCommit,
    PullRequestHead,
    PullRequestTurn,
    Review,
    ReviewComment,
)
from models.repositories import Contributor, Ref, Repository
from models.runs import Run, RunMessage, RunState, RunStep
from models.tickets import Ticket, TicketStatus
from models.users import AuditEntry, Membership, RefreshToken, Session, SignInLink, User
from models.workflows import CheckRun, CheckSuite, Release, Workflow, WorkflowJob, WorkflowRun

__all__ = [
    "AgentSettings",
    "AuditEntry",
    "Budget",
    "CheckRun",
    "CheckSuite",
    "Commit",
    "Comparison",
    "Connection",
    "ConnectionRepository",
    "Contributor",
    "Credential",
    "Delivery",
    "DeliveryStatus",
    "Deployment",
    "DeploymentChange",
    "DeploymentStatus",
    "Issue",
    "IssueComment",
    "JobStatus",
    "Membership",
    "Organization",
    "OrganizationSettings",
    "Prompt",
    "PullRequest",
    "PullRequestCommit",
    "PullRequestHead",
    "PullRequestTurn",
    "Push",
    "PushCommit",
    "QueuedJob",
    "Ref",
    "RefreshToken",
    "Release",
    "Repository",
    "Review",
    "ReviewComment",
    "Run",
    "RunMessage",
    "RunState",
    "RunStep",
    "Service",
    "ServiceDeployment",
    "Session",
    "SignInLink",
    "Ticket",
    "TicketStatus",
    "Usage",
    "User",
    "Workflow",
    "WorkflowJob",
    "WorkflowRun",
]
