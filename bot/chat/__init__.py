"""Speaks with people in Slack: slash commands, buttons, digests and alerts."""
