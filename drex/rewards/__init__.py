"""Reward networks, learned from preferences."""
