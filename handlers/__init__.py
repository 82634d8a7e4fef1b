"""Decides: what follows from what we are told. Pure."""
