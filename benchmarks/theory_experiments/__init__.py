"""The experiments behind ``python -m benchmarks.theory``, one file an idea."""
