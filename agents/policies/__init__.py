"""Policies: networks, callables and files."""
