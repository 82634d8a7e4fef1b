"""GitHub as a source (docs.github.com/webhooks/webhook-events-and-payloads)."""

from handlers.events import Source

github = Source("github")
