"""Remembers: tables, the questions asked of them, the metrics. Knows no network and no process."""

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
from models.users import AuditEntry, Membership, RefreshToken, Session, SignInLink, User
from models.workflows import CheckRun, CheckSuite, Release, Workflow, WorkflowJob, WorkflowRun

__all__ = [
    "AuditEntry",
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
    "Service",
    "ServiceDeployment",
    "Session",
    "SignInLink",
    "User",
    "Workflow",
    "WorkflowJob",
    "WorkflowRun",
]
