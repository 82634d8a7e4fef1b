"""Linear's events that are known and left alone on purpose, each with its reason."""

from handlers.linear.source import linear

linear.ignore(
    "ProjectUpdate", "Initiative", "InitiativeUpdate", "Document", "ProjectLabel",
    because="Reports and documents are words about the work, not the work.",
)  # fmt: skip
linear.ignore("Reaction", because="A reaction changes no measure.")
linear.ignore(
    "Customer", "CustomerNeed", "CustomerRequest",
    because="Who asked for something is none of our business.",
)  # fmt: skip
linear.ignore("IssueSLA", because="Times are measured, not promised.")
linear.ignore("User", because="People are told by what they do, and by the next sync.")
linear.ignore(
    "OAuthApp", "OauthAuthorization", "PermissionChange",
    because="A token that was revoked is refused by Linear, which the next sync says.",
)  # fmt: skip
linear.ignore(
    "AgentSessionEvent", "AppUserNotification",
    because="The agent is asked by labels, and speaks in comments.",
)  # fmt: skip
