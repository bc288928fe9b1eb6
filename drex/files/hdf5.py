"""Arrays from untrusted HDF5 files: external links, objects and oversized data are refused.

All functions raise a UserError, named by ``where``, for these and for damage.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.errors import UserError
from drex.files.npz import LARGEST_BYTES, describe_path
from drex.files.untrusted import check_numbers_dtype, damage_as_user_error, library

H5 = Any
"""A file, group or dataset of h5py, which ships no types."""
_SMALL_BYTES = 2**26  # that an array in a file of any size may take
_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def _reading(where: str) -> AbstractContextManager[None]:
    return damage_as_user_error(where, "a whole HDF5 file")


@contextmanager
def open_hdf5(path: Path) -> Iterator[H5]:
    """The file (an ``h5py.File``), read-only."""
    h5py = library("h5py", str(path))
    if not (path.is_file() and _begins_as_hdf5(path)):
        raise UserError(str(path), expected="an HDF5 file", found=describe_path(path))
    with _reading(str(path)):
        file = h5py.File(path, "r")
    with file:
        yield file


def members(group: H5) -> list[str]:
    """Names of the group's members."""
    with _reading(f"{group.file.filename}: {group.name}"):
        return sorted(group)


def member(group: H5, name: str, where: str) -> H5:
    """A group or dataset of this file; ``None`` if there is none of this name."""
    h5py = library("h5py", where)
    with _reading(where):
        link = group.get(name, getlink=True)
        if link is None:
            return None
        if isinstance(link, h5py.HardLink):
            return group[name]
    raise UserError(where, expected="the data itself", found="a link to another place, which is not followed")


def read_array(group: H5, name: str, where: str) -> npt.NDArray[Any] | None:
    """An array of numbers or flags, in native byte order; ``None`` if there is none of this name."""
    dataset = _dataset(group, name, where)
    if dataset is None:
        return None
    check_numbers_dtype(dataset.dtype, where)
    with _reading(where):
        array = np.asarray(dataset[()])
    return array.astype(array.dtype.newbyteorder("="), copy=False)


def read_bytes_rows(group: H5, name: str, where: str) -> list[bytes]:
    """Rows of bytes of equal or varying length, such as compressed images."""
    dataset = _dataset(group, name, where)
    expected = "rows of bytes, one an image"
    if dataset is None:
        raise UserError(where, expected=expected, found="none")
    varying = library("h5py", where).check_vlen_dtype(dataset.dtype)
    if varying != np.uint8 and (dataset.dtype != np.uint8 or dataset.ndim != 2):
        raise UserError(where, expected=expected, found=f"{dataset.dtype} of shape {dataset.shape}")
    with _reading(where):
        return [bytes(np.asarray(row, np.uint8)) for row in dataset[()]]


def read_text(group: H5, name: str, where: str) -> str | None:
    """One string; ``None`` if there is none of this name."""
    dataset = _dataset(group, name, where)
    if dataset is None:
        return None
    if dataset.shape != () or library("h5py", where).check_string_dtype(dataset.dtype) is None:
        raise UserError(where, expected="one string", found=f"{dataset.dtype} of shape {dataset.shape}")
    with _reading(where):
        return str(dataset.asstr()[()])


def _dataset(group: H5, name: str, where: str) -> H5:
    found = member(group, name, where)
    if found is None:
        return None
    if not isinstance(found, library("h5py", where).Dataset):
        raise UserError(where, expected="an array", found="a group")
    with _reading(where):
        elsewhere, shape = found.external or found.is_virtual, found.shape
        _ = found.dtype  # a damaged file may describe a type that numpy does not have
    if elsewhere:
        raise UserError(where, expected="the data itself", found="data that lie in another file")
    if shape is None:
        raise UserError(where, expected="an array", found="nothing (an empty dataset)")
    packed = found.file.id.get_filesize()
    held = _SMALL_BYTES + 1_032 * packed  # deflate packs no better, and chunks never written take no place
    for most, why in ((LARGEST_BYTES, ""), (held, f", since the file has {packed}")):
        if found.nbytes > most:
            expected = f"at most {most} bytes once unpacked{why}"
            raise UserError(where, expected=expected, found=f"{found.nbytes}")
    return found


def _begins_as_hdf5(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            return file.read(len(_SIGNATURE)) == _SIGNATURE
    except OSError:
        return False
