"""Rollouts: collecting episodes, with or without noise."""
