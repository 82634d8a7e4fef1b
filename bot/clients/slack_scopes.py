"""What our app asks of a workspace; docs/slack.md says why, scope by scope."""

SCOPES = (
    "channels:history",
    "channels:join",
    "channels:read",
    "chat:write",
    "commands",
    "groups:history",
    "groups:read",
    "reactions:read",
    "users:read",
    "users:read.email",
)
