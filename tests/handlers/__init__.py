"""Tests of what handlers decide."""
