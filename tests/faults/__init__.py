"""Real processes, killed and restarted in the middle of their work."""
