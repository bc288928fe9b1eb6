"""Evaluation by true returns."""
