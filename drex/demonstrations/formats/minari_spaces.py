"""Spaces of Minari datasets, and flattening of whole episodes.

The order is that of ``gymnasium.spaces.utils.flatten``: the parts of a Dict or Tuple one after the other,
Discrete and MultiDiscrete one-hot.
"""

from __future__ import annotations

import io
import json
import logging
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt
from gymnasium import Space, spaces

from drex.errors import UserError
from drex.files.untrusted import check_numbers_dtype

JSON = Any
"""Any JSON value."""
_logger = logging.getLogger("drex")
MOST_OPTIONS = 2**16
"""Bound of integers that count as options of a Discrete, and of the columns of one-hot observations."""


class Node(Protocol):
    """Part of an episode in a file: an array, compressed images, or a group of named parts."""

    def part(self, name: str, where: str) -> Node:
        """The part of this name, or of this number."""

    def array(self, where: str) -> npt.NDArray[Any]:
        """(rows, ...) numbers."""

    def images(self, where: str) -> list[bytes]:
        """Compressed images, one a row."""


def space_from_json(text: object, where: str) -> Space[Any]:
    """The space in Minari's JSON, a Dict in its order; UserError for other JSON and other spaces."""
    try:
        return _space(json.loads(text) if isinstance(text, str) else text, where)
    except UserError:
        raise
    except Exception as error:  # any error of gymnasium on invalid bounds and sizes
        expected, found = "a space in JSON, as Minari writes it", f"{str(text)[:80]} ({error})"
        raise UserError(where, expected=expected, found=found) from error


def space_to_json(array: npt.NDArray[Any], *, options: bool) -> str:
    """A space that contains every row of the array (rows, ...), as JSON.

    With ``options``, as for actions, scalar integers are of a Discrete; observations would be read one-hot.
    """
    shape, dtype = array.shape[1:], array.dtype
    if dtype.kind == "f":
        low, high = np.full(shape, -np.inf), np.full(shape, np.inf)
    elif options and not shape and dtype == np.int64 and array.min() >= 0 and array.max() < MOST_OPTIONS:
        return json.dumps({"type": "Discrete", "dtype": "int64", "start": 0, "n": int(array.max()) + 1})
    else:
        bounds = np.iinfo(dtype)
        low, high = np.full(shape, bounds.min, dtype), np.full(shape, bounds.max, dtype)
    bounds_json = {"low": low.tolist(), "high": high.tolist()}
    return json.dumps({"type": "Box", "dtype": str(dtype), "shape": list(shape), **bounds_json})


def rows_of(space: Space[Any], node: Node, where: str, *, jpeg: bool) -> npt.NDArray[Any]:
    """(rows, *shape): the rows of a node, not flattened; ``jpeg``: whether images are compressed.

    Raises:
        UserError: the rows are missing, or of another shape than the space, or the space is nested.
    """
    if isinstance(space, spaces.Dict | spaces.Tuple):
        raise UserError(where, expected="no Dict or Tuple, which only observations may be", found=str(space))
    if jpeg and _is_image(space):
        return _images(space, node, where)
    rows = node.array(where)
    # Minari's Arrow files flatten rows of several axes.
    if rows.ndim == 2 and rows.shape[1:] == (int(np.prod(space.shape or ())),):
        rows = rows.reshape(len(rows), *(space.shape or ()))
    if rows.ndim == 0 or rows.shape[1:] != space.shape:
        raise UserError(where, expected=f"rows of shape {space.shape}, as the space", found=f"{rows.shape}")
    return rows


def flat_rows(space: Space[Any], node: Node, where: str, *, jpeg: bool) -> npt.NDArray[Any]:
    """(rows, n): flattened rows; arguments and errors as of ``rows_of``, nested spaces included."""
    if isinstance(space, spaces.Dict | spaces.Tuple):
        inner = space.spaces.items() if isinstance(space, spaces.Dict) else enumerate(space.spaces)
        parts = [
            flat_rows(each, node.part(str(name), f"{where}/{name}"), f"{where}/{name}", jpeg=jpeg)
            for name, each in inner
        ]
        counts = {len(part) for part in parts}
        if len(counts) != 1:
            raise UserError(where, expected="parts of equal length", found=f"{sorted(counts)} rows")
        return np.concatenate(parts, axis=1)
    rows = rows_of(space, node, where, jpeg=jpeg)
    check_numbers_dtype(rows.dtype, where)
    if isinstance(space, spaces.Discrete):
        return _columns(rows[:, None] - space.start, np.array([space.n]), space.dtype, where)
    if isinstance(space, spaces.MultiDiscrete):
        values = (rows - space.start).reshape(len(rows), -1)
        return _columns(values, space.nvec.reshape(-1), space.dtype, where)
    return rows.reshape(len(rows), -1).astype(space.dtype, copy=False)


def _columns(
    values: npt.NDArray[Any], counts: npt.NDArray[Any], dtype: npt.DTypeLike, where: str
) -> npt.NDArray[Any]:
    outside = np.argwhere((values < 0) | (values >= counts))
    if len(outside):
        row, column = outside[0]
        expected = f"values of which there are {counts[column]}, as the space says"
        raise UserError(where, expected=expected, found=f"number {values[row, column]} in row {row}")
    if counts.sum() > MOST_OPTIONS:
        raise UserError(where, expected=f"{MOST_OPTIONS} options at most", found=str(counts.sum()))
    flat = np.zeros((len(values), int(counts.sum())), dtype)
    firsts = np.cumsum(counts) - counts
    flat[np.arange(len(values))[:, None], firsts + values] = 1
    return flat


def _images(space: Space[Any], node: Node, where: str) -> npt.NDArray[Any]:
    from PIL import Image

    expected, images = f"images of {space.shape}, as the space", []
    height, width = (space.shape or ())[:2]
    for row, content in enumerate(node.images(where)):
        try:
            with Image.open(io.BytesIO(content), formats=["JPEG"]) as image:
                if image.size != (width, height):  # before it is decoded
                    raise UserError(where, expected=expected, found=f"{image.size} in row {row}")
                images.append(np.asarray(image))
        except UserError:
            raise
        except Exception as error:  # untrusted bytes
            raise UserError(where, expected="JPEG images", found=f"damage in row {row} ({error})") from error
    if not images or any(image.shape != space.shape for image in images):
        raise UserError(where, expected=expected, found=f"{images[0].shape}" if images else "none")
    return np.stack(images)


def _is_image(space: Space[Any]) -> bool:
    """Whether Minari compresses observations of this space (``is_image_space`` in ``minari_storage.py``)."""
    return (
        isinstance(space, spaces.Box)
        and len(space.shape) in (2, 3)
        and min(space.shape[:2]) >= 32
        and space.dtype == np.uint8
        and bool((space.low == 0).all() and (space.high == 255).all())
    )


def _space(said: JSON, where: str) -> Space[Any]:
    space_type = said["type"]
    if space_type == "Box":
        low, high = (np.array(said[name], dtype=said["dtype"]) for name in ("low", "high"))
        return spaces.Box(low, high, tuple(said["shape"]), np.dtype(said["dtype"]).type)
    if space_type == "Discrete":
        return spaces.Discrete(said["n"], start=said.get("start", 0))
    if space_type == "MultiDiscrete":
        return spaces.MultiDiscrete(said["nvec"], dtype=np.dtype(said["dtype"]).type, start=said.get("start"))
    if space_type == "MultiBinary":
        return spaces.MultiBinary(said["n"])
    if space_type == "Tuple":
        return spaces.Tuple([_space(inner, where) for inner in said["subspaces"]])
    if space_type == "Dict":
        texts = [name for name, inner in said["subspaces"].items() if inner["type"] == "Text"]
        if texts:
            _logger.warning("%s: left out, being text: %s", where, ", ".join(texts))
        parts = {name: _space(inner, where) for name, inner in said["subspaces"].items() if name not in texts}
        return spaces.Dict(list(parts.items()))  # a list keeps its order, a dict would be sorted
    expected = "Box, Discrete, MultiDiscrete, MultiBinary, Tuple or Dict"
    raise UserError(where, expected=expected, found=str(space_type))
