"""Preferences between trajectories and their sources."""
