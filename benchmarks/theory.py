"""The paper's theory, measured: ``python -m benchmarks.theory`` runs every experiment and draws its figure.

Writes PNG and SVG figures and theory.json to benchmarks/results/theory/ (or --out). Everything follows from
--seed. docs/theory.md explains the results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
import time
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results" / "theory"


def main(arguments: list[str] | None = None) -> None:
    """Run the experiments named (all by default) and write figures and numbers."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.theory", description=__doc__)
    parser.add_argument("--seed", type=int, default=0, help="of everything random")
    parser.add_argument("--out", type=Path, default=RESULTS, help="folder for figures and theory.json")
    parser.add_argument("--only", nargs="*", default=[], help="names of experiments; all if none is given")
    options = parser.parse_args(arguments)
    # small batched matrices: a second thread only waits for the first
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    from benchmarks.theory_experiments import ambiguity, guarantee, learning, noise, runs, volumes

    experiments = {
        "better_than_demonstrator": guarantee.run,
        "unranked_demonstrations": ambiguity.run,
        "ranked_pairs": volumes.run,
        "learning_from_pairs": learning.run,
        "noise_degrades": noise.run,
        "what_a_run_knows": runs.run,
    }
    unknown = set(options.only) - set(experiments)
    if unknown:
        parser.error(f"--only knows {', '.join(experiments)}, not {', '.join(sorted(unknown))}")
    options.out.mkdir(parents=True, exist_ok=True)
    results: dict[str, Any] = {}
    for name, experiment in experiments.items():
        if not options.only or name in options.only:
            began, worked = time.perf_counter(), time.process_time()
            results[name] = experiment(options.seed, options.out)
            results[name]["seconds"] = round(time.perf_counter() - began, 1)
            results[name]["cpu_seconds"] = round(time.process_time() - worked, 1)
            print(f"{name}: {results[name]['seconds']} s", flush=True)
    record = {
        "command": f"python -m benchmarks.theory --seed {options.seed}",
        "seed": options.seed,
        "versions": _versions(),
        "machine": {"cpu": _processor(), "cores": os.cpu_count()},
        "seconds": round(sum(result["seconds"] for result in results.values()), 1),
        "cpu_seconds": round(sum(result["cpu_seconds"] for result in results.values()), 1),
        "experiments": results,
    }
    (options.out / "theory.json").write_text(json.dumps(record, indent=1) + "\n")
    print(f"{record['seconds']} s; figures and theory.json in {options.out}")


def _versions() -> dict[str, str]:
    import matplotlib
    import numpy
    import scipy

    return {
        "python": platform.python_version(),
        "numpy": numpy.__version__,
        "scipy": scipy.__version__,
        "matplotlib": matplotlib.__version__,
    }


def _processor() -> str:
    described = Path("/proc/cpuinfo")
    if described.exists():
        for line in described.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or "unknown"


if __name__ == "__main__":
    main(sys.argv[1:])
