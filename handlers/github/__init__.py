"""What follows from GitHub's webhooks, one module a concept."""
