"""The experiments behind ``python -m benchmarks throughput``: each module lists its own."""
