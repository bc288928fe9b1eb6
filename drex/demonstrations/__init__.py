"""Demonstrations: loading, validation, making, recording."""
