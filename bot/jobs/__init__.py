"""Orders that need the network or time; each may run twice."""
