"""Finished runs beside each other: scores over tasks and seeds, with their intervals."""
