"""Demonstrations: loading, checking, making, recording."""
