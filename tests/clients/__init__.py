"""Tests of what speaks to other services, against stand-ins over loopback HTTP."""
