"""Develops tickets: a labelled issue becomes a pull request, sandboxed, tested, gated, budgeted."""
