"""The web process: webhooks, pages and the API."""
