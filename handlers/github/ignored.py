"""GitHub's events that are known and left alone on purpose, each with its reason."""

from handlers.github.source import github

github.ignore("star", "watch", "fork", "public", because="Popularity is not delivery.")
github.ignore(
    "gollum", "page_build", "package", "registry_package", "repository_import",
    because="Wikis, pages and packages are not deployments.",
)  # fmt: skip
github.ignore(
    "label", "milestone", "project", "project_card", "project_column",
    "projects_v2", "projects_v2_item", "projects_v2_status_update",
    because="Planning is read from the issues and pull requests themselves.",
)  # fmt: skip
github.ignore(
    "sub_issues", "issue_dependencies",
    because="How issues relate changes no measure.",
)  # fmt: skip
github.ignore(
    "discussion", "discussion_comment", "commit_comment", "pull_request_review_thread",
    because="Talk beside reviews and issues changes no measure.",
)  # fmt: skip
github.ignore(
    "sponsorship", "marketplace_purchase",
    because="Money between others is none of our business.",
)  # fmt: skip
github.ignore(
    "security_advisory", "repository_advisory", "repository_vulnerability_alert",
    "dependabot_alert", "code_scanning_alert", "secret_scanning_alert",
    "secret_scanning_alert_location", "secret_scanning_scan", "security_and_analysis",
    "dismissal_request_code_scanning", "dismissal_request_secret_scanning",
    "bypass_request_secret_scanning",
    because="Findings of scanners are not incidents until people open one.",
)  # fmt: skip
github.ignore(
    "team_add", "org_block",
    because="Permissions are asked of GitHub when they matter, never remembered.",
)  # fmt: skip
github.ignore(
    "branch_protection_rule", "branch_protection_configuration", "repository_ruleset",
    "deploy_key", "custom_property", "custom_property_values", "meta",
    "personal_access_token_request",
    because="Settings of repositories change no measure.",
)  # fmt: skip
github.ignore("status", because="Commit statuses are the forerunners of checks, which are kept.")
github.ignore("merge_group", because="What a merge queue merges is told by its pull requests.")
github.ignore(
    "deployment_review", "deployment_protection_rule",
    because="A deployment that waits for approval has shipped nothing yet.",
)  # fmt: skip
github.ignore(
    "workflow_dispatch", "repository_dispatch",
    because="What a dispatch starts is told by its workflow run.",
)  # fmt: skip
github.ignore(
    "github_app_authorization", "installation_target",
    because="Who an installation belongs to is told by the installation.",
)  # fmt: skip
