"""Trajectories, image stacks and true returns."""
