"""Environments, trajectories and true returns."""

if not __name__.startswith("drex."):  # a bare `import X` would make a second copy of every class
    raise ImportError(f"import drex.{__name__}, not {__name__}: this folder is part of the package drex")
