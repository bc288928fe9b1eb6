"""Runs on Ray: ``pip install 'drex-rl[ray]'``. A run whose worker is killed continues in another worker."""

from __future__ import annotations

import logging
import os
import secrets
import socket
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, Any

from drex import pipeline
from drex.errors import UserError
from drex.files.dataclass_json import settings_from_json, settings_to_json
from drex.files.untrusted import library
from drex.presets.settings import Settings

if TYPE_CHECKING:
    from drex.sweeps.cell import Cell, Tell

LOCAL = "local"
_RETRIES = 3
_ENVIRONMENT = {
    "RAY_AUTH_MODE": "token",  # else whoever reaches a port of Ray runs code
    "RAY_USAGE_STATS_ENABLED": "0",
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",
    "RAY_AIR_NEW_OUTPUT": "0",  # the other output prints tables of its own
    "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0",  # Ray hides no GPU from a run
    "RAY_worker_niceness": "0",  # of 15 by default: a run beside other programs would starve
}


def run_on_ray(cells: Sequence[Cell], *, jobs: int, address: str, tell: Tell) -> None:
    """Run cells as trials of Ray Tune; folders must be on storage that all nodes share.

    Args:
        cells: with the arguments of ``drex.run``.
        jobs: runs at a time.
        address: of a cluster, or ``LOCAL`` to start Ray on this machine, which listens on loopback alone.
        tell: is told of every run that starts, ends or fails.

    Raises:
        UserError: Ray is not installed, or there is no cluster at the address.
    """
    _set_environment(address)
    tune = library("ray.tune", "ray")
    logs = {cell.name: cell.log for cell in cells}

    class Watch(tune.Callback):  # type: ignore[name-defined, misc]
        """Tells what becomes of each trial."""

        def on_trial_start(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:  # noqa: ANN401
            name = trial.config["cell"]["name"]
            tell(name, logs[name], f"started, {logs[name]}")

        def on_trial_complete(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:  # noqa: ANN401
            name, mistake = trial.config["cell"]["name"], trial.last_result.get("mistake", "")
            tell(name, logs[name], f"failed, {mistake}" if mistake else "finished")

        def on_trial_error(self, iteration: int, trials: Any, trial: Any, **_: Any) -> None:  # noqa: ANN401
            name = trial.config["cell"]["name"]
            tell(name, logs[name], f"failed {_RETRIES + 1} times")

    with _connected(address) as cores:
        each = max(1, cores // jobs) if address == LOCAL else 1
        tuner = tune.Tuner(
            tune.with_resources(_trial, {"cpu": each}),
            param_space={"cell": tune.grid_search([_plain(cell) for cell in cells])},
            tune_config=tune.TuneConfig(max_concurrent_trials=jobs),
            run_config=tune.RunConfig(
                name="ray",
                storage_path=str(cells[0].folder.resolve().parent.parent),  # the folder of the sweep
                failure_config=tune.FailureConfig(max_failures=_RETRIES),
                callbacks=[Watch()],
                verbose=0,
            ),
        )
        tuner.fit()


def _set_environment(address: str) -> None:
    """Before Ray is imported, which reads it then."""
    for name, value in _ENVIRONMENT.items():
        os.environ.setdefault(name, value)
    token_file = Path(os.environ.get("RAY_AUTH_TOKEN_PATH", Path.home() / ".ray" / "auth_token"))
    if address == LOCAL and "RAY_AUTH_TOKEN" not in os.environ and not token_file.is_file():
        os.environ["RAY_AUTH_TOKEN"] = secrets.token_hex(32)


@contextmanager
def _connected(address: str) -> Iterator[int]:
    """A connection to Ray, with the number of its CPUs."""
    ray = library("ray", "ray")
    options: dict[str, Any] = {"address": address, "log_to_driver": False, "logging_level": logging.ERROR}
    logging.getLogger("ray.tune").setLevel(logging.ERROR)
    if address == LOCAL:
        cores = len(os.sched_getaffinity(0))
        options |= {"include_dashboard": False, "_node_ip_address": "127.0.0.1", "num_cpus": cores}
    else:
        _reach(address)
    ray.init(**options)
    try:
        yield int(ray.cluster_resources().get("CPU", 1))
    finally:
        ray.shutdown()


def _reach(address: str) -> None:
    """Raise a ``UserError`` if nothing answers at ``HOST:PORT``: Ray itself tries for minutes."""
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal():
        raise UserError("ray", expected="an address HOST:PORT", found=repr(address))
    try:
        socket.create_connection((host, int(port)), timeout=10).close()
    except (OSError, OverflowError) as error:
        raise UserError("ray", expected=f"a cluster at {address}", found=str(error)) from error


def _plain(cell: Cell) -> dict[str, Any]:
    """The cell as plain values, which cross to other machines."""
    here = {"run_dir": str(cell.folder.resolve()), "seed": cell.seed, "controls": list(cell.controls)}
    return {
        "name": cell.name,
        "log": str(cell.log.resolve()),
        "task": cell.task,
        "settings": settings_to_json(cell.settings),
        "arguments": {**cell.arguments, **here},
    }


def _trial(config: Mapping[str, Any]) -> None:
    """One run, in a worker of Ray."""
    tune, cell = library("ray.tune", "ray"), config["cell"]
    settings = settings_from_json(Settings, cell["settings"], cell["name"])
    with Path(cell["log"]).open("a") as log, redirect_stdout(log), redirect_stderr(log):
        try:
            pipeline.run(cell["task"], settings=settings, resume=True, quiet=True, **cell["arguments"])
        except UserError as mistake:  # another try would find the same
            print(f"drex: {mistake}")
            tune.report({"mistake": str(mistake)})
            return
    tune.report({"mistake": ""})
