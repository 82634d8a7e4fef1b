"""Make the tables of incidents, Slack, Linear and people."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0003"
down_revision: str | None = "0002"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "connect_states",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=True),
        sa.Column("user_id", sa.Text(), nullable=True),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_table(
        "connection_secrets",
        sa.Column("connection_id", sa.Text(), nullable=False),
        sa.Column("ciphertext", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column(
            "stored_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("connection_id"),
    )
    op.create_table(
        "deployed_services",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("service", sa.Text(), nullable=False),
        sa.Column("environment_class", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "deployed_services_organization", "deployed_services", ["organization_id"], unique=False
    )
    op.create_index(
        op.f("ix_deployed_services_repository_id"),
        "deployed_services",
        ["repository_id"],
        unique=False,
    )
    op.create_table(
        "repository_names",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("full_name", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    for name in ("full_name", "repository_id"):
        op.create_index(op.f(f"ix_repository_names_{name}"), "repository_names", [name])
    op.create_table(
        "remedies",
        sa.Column("remedy_id", sa.Text(), nullable=False),
        sa.Column("service_deployment_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("service_id", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("sha", sa.Text(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("remedied_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("remedy_id", "service_deployment_id"),
    )
    op.create_index("remedies_failed", "remedies", ["service_deployment_id"], unique=False)
    op.create_index(
        "remedies_repository", "remedies", ["repository_id", "remedied_at"], unique=False
    )
    op.create_index("remedies_service", "remedies", ["service_id", "remedied_at"], unique=False)
    op.create_table(
        "failed_deployments",
        sa.Column("service_deployment_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("service_id", sa.Text(), nullable=False),
        sa.Column("environment_class", sa.Text(), nullable=False),
        sa.Column("failed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("incidents", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("remedy_id", sa.Text(), nullable=True),
        sa.Column("recovered_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("service_deployment_id"),
    )
    op.create_index(
        "failed_deployments_repository",
        "failed_deployments",
        ["repository_id", "failed_at"],
        unique=False,
    )
    op.create_table(
        "identities",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("account", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("email", sa.Text(), nullable=True),
        sa.Column("bot", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("identities_email", "identities", ["organization_id", "email"], unique=False)
    op.create_table(
        "identity_merges",
        sa.Column("identity_id", sa.Text(), nullable=False),
        sa.Column("person_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("identity_id"),
    )
    op.create_index(
        op.f("ix_identity_merges_organization_id"),
        "identity_merges",
        ["organization_id"],
        unique=False,
    )
    op.create_table(
        "incident_channels",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("channel", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("organization_id", "channel"),
    )
    op.create_table(
        "incident_corrections",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("field", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("incident_id", "field"),
    )
    op.create_table(
        "incident_deployments",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("service_deployment_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("service_id", sa.Text(), nullable=False),
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("incident_id", "service_deployment_id"),
    )
    op.create_index(
        "incident_deployments_deployment",
        "incident_deployments",
        ["service_deployment_id"],
        unique=False,
    )
    op.create_index(
        "incident_deployments_repository", "incident_deployments", ["repository_id"], unique=False
    )
    op.create_table(
        "incident_links",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("deployment_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("linked", sa.Boolean(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("incident_id", "deployment_id"),
    )
    op.create_table(
        "incident_places",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=True),
        sa.Column("service_id", sa.Text(), nullable=True),
        sa.Column("reason", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("incident_id"),
    )
    op.create_index(
        "incident_places_repository", "incident_places", ["repository_id"], unique=False
    )
    op.create_index(
        op.f("ix_incident_places_organization_id"),
        "incident_places",
        ["organization_id"],
        unique=False,
    )
    op.create_table(
        "incident_reports",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("reported_by", sa.Text(), nullable=False),
        sa.Column(
            "reported_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_incident_reports_organization_id"),
        "incident_reports",
        ["organization_id"],
        unique=False,
    )
    op.create_table(
        "incident_settings",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("window_hours", sa.Float(), nullable=False),
        sa.Column("windows", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.Column("channels", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("start_patterns", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("resolve_patterns", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("start_reactions", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("resolve_reactions", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("alert_bots", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("labels", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("severities", postgresql.JSONB(astext_type=sa.Text()), nullable=False),
        sa.PrimaryKeyConstraint("organization_id"),
    )
    op.create_table(
        "incident_updates",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_incident_updates_incident_id"), "incident_updates", ["incident_id"], unique=False
    )
    op.create_table(
        "incidents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("detail", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("channel", sa.Text(), nullable=True),
        sa.Column("severity", sa.Text(), nullable=True),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("environment", sa.Text(), nullable=False),
        sa.Column("environment_class", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=True),
        sa.Column("service", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("detected_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("resolved_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("opened_by", sa.Text(), nullable=True),
        sa.Column("resolved_by", sa.Text(), nullable=True),
        sa.Column("opened_why", sa.Text(), nullable=False),
        sa.Column("resolved_why", sa.Text(), nullable=True),
        sa.Column("names", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("corrected", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("dismissed", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("incidents_key", "incidents", ["organization_id", "key"], unique=False)
    op.create_index(
        "incidents_listed", "incidents", ["organization_id", "started_at"], unique=False
    )
    op.create_index(
        "incidents_open",
        "incidents",
        ["organization_id"],
        unique=False,
        postgresql_where=sa.text("resolved_at is null"),
    )
    op.create_index(
        "incidents_organization",
        "incidents",
        ["organization_id", "environment_class", "started_at"],
        unique=False,
    )
    op.create_table(
        "issue_pull_requests",
        sa.Column("issue_id", sa.Text(), nullable=False),
        sa.Column("pull_request_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("issue_id", "pull_request_id"),
    )
    op.create_index(
        "issue_pull_requests_pull_request", "issue_pull_requests", ["pull_request_id"], unique=False
    )
    op.create_index(
        op.f("ix_issue_pull_requests_organization_id"),
        "issue_pull_requests",
        ["organization_id"],
        unique=False,
    )
    op.create_table(
        "issue_times",
        sa.Column("issue_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=True),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("author_login", sa.Text(), nullable=True),
        sa.Column("cohort", sa.Text(), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("canceled", sa.Boolean(), nullable=False),
        sa.Column("linked", sa.Boolean(), nullable=False),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("pull_request_id", sa.Text(), nullable=True),
        sa.Column("merged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("ended_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("issue_id"),
    )
    op.create_index(
        "issue_times_ended",
        "issue_times",
        ["organization_id", "ended_at"],
        unique=False,
        postgresql_include=["repository_id", "account", "cohort", "created_at", "merged_at"],
    )
    op.create_index(
        "issue_times_closed",
        "issue_times",
        ["organization_id", "closed_at"],
        unique=False,
        postgresql_include=["repository_id", "account", "cohort"],
    )
    op.create_table(
        "linear_attachments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("issue_id", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_linear_attachments_issue_id"), "linear_attachments", ["issue_id"], unique=False
    )
    op.create_index(op.f("ix_linear_attachments_url"), "linear_attachments", ["url"], unique=False)
    op.create_table(
        "linear_comments",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("issue_id", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Text(), nullable=True),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_linear_comments_issue_id"), "linear_comments", ["issue_id"], unique=False
    )
    op.create_table(
        "linear_cycles",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("name", sa.Text(), nullable=True),
        sa.Column("starts_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ends_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "linear_issues",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("identifier", sa.Text(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("cycle_id", sa.Text(), nullable=True),
        sa.Column("state_name", sa.Text(), nullable=True),
        sa.Column("state_type", sa.Text(), nullable=True),
        sa.Column("labels", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("priority", sa.Integer(), nullable=True),
        sa.Column("estimate", sa.Float(), nullable=True),
        sa.Column("assignee_id", sa.Text(), nullable=True),
        sa.Column("creator_id", sa.Text(), nullable=True),
        sa.Column("previous_identifiers", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("mentions", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("created_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("canceled_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "linear_issues_completed",
        "linear_issues",
        ["organization_id", "completed_at"],
        unique=False,
    )
    op.create_index(
        "linear_issues_identifier", "linear_issues", ["organization_id", "identifier"], unique=False
    )
    op.create_table(
        "linear_labels",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "linear_mappings",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("linear_id", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("organization_id", "linear_id"),
    )
    op.create_table(
        "linear_projects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "linear_teams",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "linear_tickets",
        sa.Column("linear_issue_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("issue_id", sa.Text(), nullable=True),
        sa.Column("issue_number", sa.Integer(), nullable=True),
        sa.Column("told", sa.Text(), nullable=True),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("linear_issue_id"),
    )
    op.create_index(
        op.f("ix_linear_tickets_issue_id"), "linear_tickets", ["issue_id"], unique=False
    )
    op.create_table(
        "notices",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("channel_key", sa.Text(), nullable=False),
        sa.Column("message_ts", sa.Text(), nullable=True),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column(
            "sent_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "post_mortems",
        sa.Column("incident_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("incident_id"),
    )
    op.create_table(
        "privacy_settings",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("per_person", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("organization_id"),
    )
    op.create_table(
        "pull_request_times",
        sa.Column("pull_request_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("author_login", sa.Text(), nullable=True),
        sa.Column("account", sa.Text(), nullable=True),
        sa.Column("cohort", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("draft", sa.Boolean(), nullable=False),
        sa.Column("first_commit_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("opened_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("ready_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("first_review_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("merged_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("closed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("answered_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("pull_request_id"),
    )
    op.create_index(
        "pull_request_times_answered",
        "pull_request_times",
        ["organization_id", "answered_at"],
        unique=False,
        postgresql_include=[
            *("repository_id", "account", "cohort", "ready_at", "first_review_at"),
        ],
    )
    op.create_index(
        "pull_request_times_merged",
        "pull_request_times",
        ["organization_id", "merged_at"],
        unique=False,
        postgresql_include=[
            *("repository_id", "account", "cohort", "first_commit_at", "opened_at"),
            *("ready_at", "first_review_at"),
        ],
    )
    op.create_index(
        "pull_request_times_open",
        "pull_request_times",
        ["organization_id"],
        unique=False,
        postgresql_where=sa.text("state = 'open'"),
    )
    op.create_index(
        "pull_request_times_opened",
        "pull_request_times",
        ["organization_id", "opened_at"],
        unique=False,
    )
    op.create_index(
        "pull_request_times_repository",
        "pull_request_times",
        ["repository_id", "merged_at"],
        unique=False,
    )
    op.create_table(
        "slack_channels",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("channel_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("private", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "slack_channels_organization", "slack_channels", ["organization_id", "name"], unique=False
    )
    op.create_table(
        "slack_channel_states",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("channel_key", sa.Text(), nullable=False),
        sa.Column("aspect", sa.Text(), nullable=False),
        sa.Column("holds", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_slack_channel_states_channel_key"),
        "slack_channel_states",
        ["channel_key"],
        unique=False,
    )
    op.create_table(
        "slack_members",
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("slack_user_id", sa.Text(), nullable=False),
        sa.Column("user_id", sa.Text(), nullable=False),
        sa.Column(
            "connected_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("team_id", "slack_user_id"),
    )
    op.create_index(op.f("ix_slack_members_user_id"), "slack_members", ["user_id"], unique=False)
    op.create_table(
        "slack_messages",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("channel_key", sa.Text(), nullable=False),
        sa.Column("thread_id", sa.Text(), nullable=False),
        sa.Column("ts", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Text(), nullable=True),
        sa.Column("author_name", sa.Text(), nullable=True),
        sa.Column("bot", sa.Boolean(), nullable=False),
        sa.Column("words", sa.Text(), nullable=False),
        sa.Column("posted_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("edited_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("slack_messages_changed", "slack_messages", ["changed_at"], unique=False)
    op.create_index("slack_messages_thread", "slack_messages", ["thread_id"], unique=False)
    op.create_table(
        "slack_reactions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("emoji", sa.Text(), nullable=False),
        sa.Column("author_id", sa.Text(), nullable=False),
        sa.Column("at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("standing", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_slack_reactions_message_id"), "slack_reactions", ["message_id"], unique=False
    )
    op.create_index(
        "deliveries_told_by_slack",
        "deliveries",
        ["decisions"],
        unique=False,
        postgresql_using="gin",
        postgresql_ops={"decisions": "jsonb_path_ops"},
        postgresql_where=sa.text("source = 'slack'"),
    )
    op.create_table(
        "subscriptions",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("channel_key", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("cadence", sa.Text(), nullable=False),
        sa.Column("last_period", sa.Text(), nullable=True),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column(
            "created_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "subscriptions_once",
        "subscriptions",
        ["organization_id", "channel_key", "kind"],
        unique=True,
    )
    op.create_table(
        "sync_logs",
        sa.Column("id", sa.BigInteger(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("items", sa.Integer(), nullable=False),
        sa.Column("cursor", sa.Text(), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("finished_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("sync_logs_listed", "sync_logs", ["organization_id", "id"], unique=False)
    op.create_table(
        "team_members",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("login", sa.Text(), nullable=False),
        sa.Column("member", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_team_members_login"), "team_members", ["login"], unique=False)
    op.create_index(op.f("ix_team_members_team_id"), "team_members", ["team_id"], unique=False)
    op.create_table(
        "team_repositories",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("team_id", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("owned", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_team_repositories_team_id"), "team_repositories", ["team_id"], unique=False
    )
    op.create_table(
        "teams",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("slug", sa.Text(), nullable=False),
        sa.Column("deleted", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index("teams_organization", "teams", ["organization_id", "name"], unique=False)
    op.add_column(
        "issues",
        sa.Column("mentions", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )
    op.add_column(
        "pull_requests",
        sa.Column("mentions", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )
    op.add_column(
        "pull_requests",
        sa.Column("closes", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )
    op.create_index("issues_number", "issues", ["repository_id", "number"], unique=False)
    op.create_index(
        "service_deployments_service",
        "service_deployments",
        ["service_id", "finished_at"],
        unique=False,
    )
    op.create_index(
        "service_deployments_attempt", "service_deployments", ["deployment_id"], unique=False
    )
    op.create_index("service_deployments_sha", "service_deployments", ["sha"], unique=False)
    op.drop_index(op.f("ix_service_deployments_service_id"), table_name="service_deployments")
    op.create_index("deployment_changes_sha", "deployment_changes", ["sha"], unique=False)
    op.create_index(
        "pull_requests_mentions",
        "pull_requests",
        ["mentions"],
        unique=False,
        postgresql_using="gin",
    )
    op.create_index(
        "pull_requests_fork", "pull_requests", ["head_repository_id", "head_ref"], unique=False
    )
    op.create_index(
        "pull_requests_changed", "pull_requests", ["repository_id", "changed_at"], unique=False
    )
    op.create_index("reviews_submitted", "reviews", ["repository_id", "submitted_at"], unique=False)
    op.create_index("pushes_pushed", "pushes", ["repository_id", "pushed_at"], unique=False)
    op.create_index("push_commits_push", "push_commits", ["push_id"], unique=False)
    op.add_column(
        "service_deployments",
        sa.Column("cohorts", postgresql.ARRAY(sa.Text()), server_default="{}", nullable=False),
    )
    op.execute(
        """
        update service_deployments d set cohorts = brought.cohorts
        from (select service_deployment_id, array_agg(distinct cohort order by cohort) as cohorts
              from deployment_changes group by service_deployment_id) brought
        where brought.service_deployment_id = d.id
        """
    )
    op.drop_index("service_deployments_organization", table_name="service_deployments")
    op.create_index(
        "service_deployments_organization",
        "service_deployments",
        ["organization_id", "environment_class", "finished_at"],
        unique=False,
        postgresql_include=["id", "repository_id", "state", "kind", "counted", "cohorts"],
    )
    op.create_index(
        "service_deployments_environment",
        "service_deployments",
        ["organization_id", "environment"],
        unique=False,
    )
    op.create_index(
        "service_deployments_kind",
        "service_deployments",
        ["id"],
        unique=False,
        postgresql_include=["kind", "counted"],
    )
    # What is derived of what is known already: pull requests, issues and failures.
    op.execute(
        """
        insert into jobs (organization_id, lane, name, key, arguments)
        select r.organization_id, 'ingest', j.name, j.name || ':' || r.id,
               jsonb_build_object('repository', r.id, 'all', true)
          from repositories r
          cross join (values ('collect_changes'), ('measure_pull_requests'), ('link_issues'))
               as j(name)
            on conflict (key) where status = 'waiting'
            do update set arguments = jobs.arguments || excluded.arguments
        """
    )
    op.execute(
        """
        insert into jobs (organization_id, lane, name, key, arguments)
        select organization_id, 'ingest', 'follow_incident', 'follow_incident:' || id,
               jsonb_build_object('incident', id)
          from issues where cardinality(labels) > 0 and not deleted
            on conflict (key) where status = 'waiting' do nothing
        """
    )


def downgrade() -> None:
    op.drop_index("service_deployments_kind", table_name="service_deployments")
    op.drop_index("service_deployments_environment", table_name="service_deployments")
    op.drop_index("service_deployments_organization", table_name="service_deployments")
    op.create_index(
        "service_deployments_organization",
        "service_deployments",
        ["organization_id", "environment_class", "finished_at"],
        unique=False,
        postgresql_include=["repository_id", "state", "kind", "counted"],
    )
    op.drop_column("service_deployments", "cohorts")
    op.drop_index("push_commits_push", table_name="push_commits")
    op.drop_index("pushes_pushed", table_name="pushes")
    op.drop_index("reviews_submitted", table_name="reviews")
    op.drop_index("pull_requests_changed", table_name="pull_requests")
    op.drop_index("pull_requests_fork", table_name="pull_requests")
    op.drop_index("pull_requests_mentions", table_name="pull_requests", postgresql_using="gin")
    op.drop_index("deployment_changes_sha", table_name="deployment_changes")
    op.create_index(
        op.f("ix_service_deployments_service_id"),
        "service_deployments",
        ["service_id"],
        unique=False,
    )
    op.drop_index("service_deployments_sha", table_name="service_deployments")
    op.drop_index("service_deployments_attempt", table_name="service_deployments")
    op.drop_index("service_deployments_service", table_name="service_deployments")
    op.drop_index("issues_number", table_name="issues")
    op.drop_column("pull_requests", "closes")
    op.drop_column("pull_requests", "mentions")
    op.drop_column("issues", "mentions")
    op.drop_index("teams_organization", table_name="teams")
    op.drop_table("teams")
    op.drop_index(op.f("ix_team_repositories_team_id"), table_name="team_repositories")
    op.drop_table("team_repositories")
    op.drop_index(op.f("ix_team_members_team_id"), table_name="team_members")
    op.drop_index(op.f("ix_team_members_login"), table_name="team_members")
    op.drop_table("team_members")
    op.drop_index("sync_logs_listed", table_name="sync_logs")
    op.drop_table("sync_logs")
    op.drop_index("subscriptions_once", table_name="subscriptions")
    op.drop_table("subscriptions")
    op.drop_index(
        "deliveries_told_by_slack",
        table_name="deliveries",
        postgresql_using="gin",
        postgresql_where=sa.text("source = 'slack'"),
    )
    op.drop_index(op.f("ix_slack_reactions_message_id"), table_name="slack_reactions")
    op.drop_table("slack_reactions")
    op.drop_index("slack_messages_thread", table_name="slack_messages")
    op.drop_index("slack_messages_changed", table_name="slack_messages")
    op.drop_table("slack_messages")
    op.drop_index(op.f("ix_slack_members_user_id"), table_name="slack_members")
    op.drop_table("slack_members")
    op.drop_index(op.f("ix_slack_channel_states_channel_key"), table_name="slack_channel_states")
    op.drop_table("slack_channel_states")
    op.drop_index("slack_channels_organization", table_name="slack_channels")
    op.drop_table("slack_channels")
    op.drop_index("pull_request_times_repository", table_name="pull_request_times")
    op.drop_index("pull_request_times_opened", table_name="pull_request_times")
    op.drop_index(
        "pull_request_times_open",
        table_name="pull_request_times",
        postgresql_where=sa.text("state = 'open'"),
    )
    op.drop_index("pull_request_times_merged", table_name="pull_request_times")
    op.drop_index("pull_request_times_answered", table_name="pull_request_times")
    op.drop_table("pull_request_times")
    op.drop_table("privacy_settings")
    op.drop_table("post_mortems")
    op.drop_table("notices")
    op.drop_index(op.f("ix_linear_tickets_issue_id"), table_name="linear_tickets")
    op.drop_table("linear_tickets")
    op.drop_table("linear_teams")
    op.drop_table("linear_projects")
    op.drop_table("linear_mappings")
    op.drop_table("linear_labels")
    op.drop_index("linear_issues_identifier", table_name="linear_issues")
    op.drop_index("linear_issues_completed", table_name="linear_issues")
    op.drop_table("linear_issues")
    op.drop_table("linear_cycles")
    op.drop_index(op.f("ix_linear_comments_issue_id"), table_name="linear_comments")
    op.drop_table("linear_comments")
    op.drop_index(op.f("ix_linear_attachments_url"), table_name="linear_attachments")
    op.drop_index(op.f("ix_linear_attachments_issue_id"), table_name="linear_attachments")
    op.drop_table("linear_attachments")
    op.drop_index("issue_times_closed", table_name="issue_times")
    op.drop_index("issue_times_ended", table_name="issue_times")
    op.drop_table("issue_times")
    op.drop_index(op.f("ix_issue_pull_requests_organization_id"), table_name="issue_pull_requests")
    op.drop_index("issue_pull_requests_pull_request", table_name="issue_pull_requests")
    op.drop_table("issue_pull_requests")
    op.drop_index("incidents_organization", table_name="incidents")
    op.drop_index(
        "incidents_open", table_name="incidents", postgresql_where=sa.text("resolved_at is null")
    )
    op.drop_index("incidents_listed", table_name="incidents")
    op.drop_index("incidents_key", table_name="incidents")
    op.drop_table("incidents")
    op.drop_index(op.f("ix_incident_updates_incident_id"), table_name="incident_updates")
    op.drop_table("incident_updates")
    op.drop_table("incident_settings")
    op.drop_index(op.f("ix_incident_reports_organization_id"), table_name="incident_reports")
    op.drop_table("incident_reports")
    op.drop_index(op.f("ix_incident_places_organization_id"), table_name="incident_places")
    op.drop_index("incident_places_repository", table_name="incident_places")
    op.drop_table("incident_places")
    op.drop_table("incident_links")
    op.drop_index("incident_deployments_repository", table_name="incident_deployments")
    op.drop_index("incident_deployments_deployment", table_name="incident_deployments")
    op.drop_table("incident_deployments")
    op.drop_table("incident_corrections")
    op.drop_table("incident_channels")
    op.drop_index(op.f("ix_identity_merges_organization_id"), table_name="identity_merges")
    op.drop_table("identity_merges")
    op.drop_index("identities_email", table_name="identities")
    op.drop_table("identities")
    op.drop_index("failed_deployments_repository", table_name="failed_deployments")
    op.drop_table("failed_deployments")
    op.drop_index("remedies_service", table_name="remedies")
    op.drop_index("remedies_repository", table_name="remedies")
    op.drop_index("remedies_failed", table_name="remedies")
    op.drop_table("remedies")
    op.drop_table("repository_names")
    op.drop_index(op.f("ix_deployed_services_repository_id"), table_name="deployed_services")
    op.drop_index("deployed_services_organization", table_name="deployed_services")
    op.drop_table("deployed_services")
    op.drop_table("connection_secrets")
    op.drop_table("connect_states")
