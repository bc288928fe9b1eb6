"""Preferences between trajectories, and where they come from."""
