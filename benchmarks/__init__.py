"""Experiments: which tasks, methods and seeds; tables and figures from their results."""
