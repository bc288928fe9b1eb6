"""Settings and named presets."""
