"""Vectorized environments."""
