"""Make the tables of syncs, builds, rules and badges."""

from collections.abc import Sequence

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "0004"
down_revision: str | None = "0003"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None


def upgrade() -> None:
    op.create_table(
        "badges",
        sa.Column("token_hash", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=True),
        sa.Column("metric", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column(
            "made_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("withdrawn_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("token_hash"),
    )
    op.create_index(op.f("ix_badges_organization_id"), "badges", ["organization_id"], unique=False)
    op.create_table(
        "builds",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("workflow", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("platform_by", sa.Text(), nullable=True),
        sa.Column("event", sa.Text(), nullable=True),
        sa.Column("branch", sa.Text(), nullable=True),
        sa.Column("head_sha", sa.Text(), nullable=False),
        sa.Column("attempts", sa.Integer(), nullable=False),
        sa.Column("outcome", sa.Text(), nullable=True),
        sa.Column("counted", sa.Boolean(), nullable=False),
        sa.Column("reason", sa.Text(), nullable=True),
        sa.Column("flaky", sa.Boolean(), nullable=False),
        sa.Column("failure", sa.Text(), nullable=True),
        sa.Column("failed_job", sa.Text(), nullable=True),
        sa.Column("annotation", sa.Text(), nullable=True),
        sa.Column("started_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("completed_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("duration_seconds", sa.Float(), nullable=True),
        sa.Column("actor_login", sa.Text(), nullable=True),
        sa.Column("url", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "builds_ended",
        "builds",
        ["organization_id", "completed_at"],
        unique=False,
        postgresql_include=[
            *("repository_id", "workflow_id", "platform", "outcome", "counted", "flaky"),
            *("duration_seconds", "actor_login"),
        ],
    )
    op.create_index(
        "builds_failed",
        "builds",
        ["organization_id", "completed_at"],
        unique=False,
        postgresql_include=["repository_id", "platform", "failure", "id"],
        postgresql_where=sa.text("failure is not null"),
    )
    op.create_index(
        "builds_flaky",
        "builds",
        ["organization_id", "completed_at"],
        unique=False,
        postgresql_include=["repository_id", "workflow_id", "platform", "id"],
        postgresql_where=sa.text("flaky"),
    )
    op.create_index(
        "builds_of_repository", "builds", ["repository_id", "completed_at"], unique=False
    )
    op.create_index("builds_started", "builds", ["organization_id", "started_at"], unique=False)
    op.create_index(
        "builds_of_platform",
        "builds",
        ["organization_id", "platform", "started_at"],
        unique=False,
    )
    op.create_index("builds_of_workflow", "builds", ["workflow_id", "started_at"], unique=False)
    op.create_index(
        "workflow_runs_commit", "workflow_runs", ["repository_id", "head_sha"], unique=False
    )
    op.create_index(
        "workflow_jobs_completed", "workflow_jobs", ["repository_id", "completed_at"], unique=False
    )
    op.create_table(
        "delivery_cursors",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("newest_id", sa.BigInteger(), nullable=True),
        sa.Column("delivered_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("checked_at", sa.DateTime(timezone=True), nullable=True),
        sa.Column("error", sa.Text(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_table(
        "deployment_rules",
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("production", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("ignored", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("workflows", postgresql.ARRAY(sa.Text()), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column(
            "changed_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=True),
        sa.PrimaryKeyConstraint("repository_id"),
    )
    op.create_index(
        op.f("ix_deployment_rules_organization_id"),
        "deployment_rules",
        ["organization_id"],
        unique=False,
    )
    op.create_table(
        "etags",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column(
            "stored_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_etags_organization_id"), "etags", ["organization_id"], unique=False)
    op.create_table(
        "job_annotations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("job_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=True),
        sa.Column("line", sa.Integer(), nullable=True),
        sa.Column("message", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(op.f("ix_job_annotations_job_id"), "job_annotations", ["job_id"], unique=False)
    op.create_table(
        "missed_news",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("source", sa.Text(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=True),
        sa.Column("what", sa.Text(), nullable=False),
        sa.Column("thing_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column(
            "found_at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.Column("sync_id", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        "missed_news_listed", "missed_news", ["organization_id", "changed_at"], unique=False
    )
    op.create_table(
        "sync_slots",
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("due_at", sa.DateTime(timezone=True), nullable=False),
        sa.PrimaryKeyConstraint("organization_id", "name"),
    )
    op.create_table(
        "workflow_files",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.DateTime(timezone=True), nullable=False),
        sa.Column("rank", sa.SmallInteger(), nullable=False),
        sa.Column("digest", sa.BigInteger(), nullable=False),
        sa.Column("repository_id", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("sha", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=True),
        sa.Column("evidence", sa.Text(), nullable=True),
        sa.Column("missing", sa.Boolean(), nullable=False),
        sa.PrimaryKeyConstraint("id"),
    )
    op.create_index(
        op.f("ix_workflow_files_repository_id"), "workflow_files", ["repository_id"], unique=False
    )
    op.create_table(
        "workflow_platforms",
        sa.Column("workflow_id", sa.Text(), nullable=False),
        sa.Column("organization_id", sa.Text(), nullable=False),
        sa.Column("platform", sa.Text(), nullable=False),
        sa.Column("by", sa.Text(), nullable=False),
        sa.Column(
            "at", sa.DateTime(timezone=True), server_default=sa.text("now()"), nullable=False
        ),
        sa.PrimaryKeyConstraint("workflow_id"),
    )
    op.create_index(
        op.f("ix_workflow_platforms_organization_id"),
        "workflow_platforms",
        ["organization_id"],
        unique=False,
    )
    op.add_column(
        "deliveries", sa.Column("via", sa.Text(), server_default="webhook", nullable=False)
    )
    op.add_column("deliveries", sa.Column("sent_at", sa.DateTime(timezone=True), nullable=True))
    op.create_index(
        "deliveries_recovered",
        "deliveries",
        ["organization_id", "sent_at"],
        unique=False,
        postgresql_where=sa.text("via = 'recovered'"),
    )
    op.add_column("sync_logs", sa.Column("repository_id", sa.Text(), nullable=True))
    op.add_column("sync_logs", sa.Column("expected", sa.Integer(), nullable=True))
    op.add_column("sync_logs", sa.Column("calls", sa.Integer(), server_default="0", nullable=False))
    op.add_column(
        "sync_logs", sa.Column("missed", sa.Integer(), server_default="0", nullable=False)
    )
    op.create_index(
        "sync_logs_latest", "sync_logs", ["organization_id", "source", "name", "id"], unique=False
    )
    # Builds are derived of the workflow runs that are known already.
    op.execute(
        """
        insert into jobs (organization_id, lane, name, key, arguments)
        select r.organization_id, 'ingest', 'measure_builds', 'measure_builds:' || r.id,
               jsonb_build_object('repository', r.id, 'all', true)
          from repositories r
         where exists (select from workflow_runs w where w.repository_id = r.id)
            on conflict (key) where status = 'waiting'
            do update set arguments = jobs.arguments || excluded.arguments
        """
    )


def downgrade() -> None:
    op.drop_index("sync_logs_latest", table_name="sync_logs")
    op.drop_column("sync_logs", "missed")
    op.drop_column("sync_logs", "calls")
    op.drop_column("sync_logs", "expected")
    op.drop_column("sync_logs", "repository_id")
    op.drop_index(
        "deliveries_recovered",
        table_name="deliveries",
        postgresql_where=sa.text("via = 'recovered'"),
    )
    op.drop_column("deliveries", "sent_at")
    op.drop_column("deliveries", "via")
    op.drop_index(op.f("ix_workflow_platforms_organization_id"), table_name="workflow_platforms")
    op.drop_table("workflow_platforms")
    op.drop_index(op.f("ix_workflow_files_repository_id"), table_name="workflow_files")
    op.drop_table("workflow_files")
    op.drop_table("sync_slots")
    op.drop_index("missed_news_listed", table_name="missed_news")
    op.drop_table("missed_news")
    op.drop_index(op.f("ix_job_annotations_job_id"), table_name="job_annotations")
    op.drop_table("job_annotations")
    op.drop_index(op.f("ix_etags_organization_id"), table_name="etags")
    op.drop_table("etags")
    op.drop_index(op.f("ix_deployment_rules_organization_id"), table_name="deployment_rules")
    op.drop_table("deployment_rules")
    op.drop_table("delivery_cursors")
    op.drop_index("workflow_jobs_completed", table_name="workflow_jobs")
    op.drop_index("workflow_runs_commit", table_name="workflow_runs")
    op.drop_index("builds_of_workflow", table_name="builds")
    op.drop_index("builds_of_platform", table_name="builds")
    op.drop_index("builds_started", table_name="builds")
    op.drop_index("builds_of_repository", table_name="builds")
    op.drop_index("builds_flaky", table_name="builds")
    op.drop_index("builds_failed", table_name="builds")
    op.drop_index("builds_ended", table_name="builds")
    op.drop_table("builds")
    op.drop_index(op.f("ix_badges_organization_id"), table_name="badges")
    op.drop_table("badges")
