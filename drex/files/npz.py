"""Arrays from untrusted npz files (pickles and oversized arrays are refused), and atomic writes of them."""

from __future__ import annotations

import contextlib
import io
import logging
import math
import shutil
import struct
import tempfile
import zipfile
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np
import numpy.typing as npt

from drex.envs.data.stacked_frames import frames_in_order
from drex.errors import UserError
from drex.files.atomic import written_whole
from drex.files.untrusted import damage_as_user_error

LARGEST_BYTES = 64 * 2**30
"""Maximum size in memory of all arrays of a file (64 GiB): a few kilobytes of zip can declare terabytes."""

# An npy header of format 1.0 is shorter than 2**16 bytes; longer ones are of record types, which are refused.
_HEADER_BYTES = 2**16 + 16
_MAGICS = {
    b"": "an empty file",
    b"PK\x03\x04": "a zip file that is cut short or damaged",
    b"\x93NUM": "a single array (.npy)",
    b"\x89HDF": "an HDF5 file",
}
_WHOLE = "a whole array of an npz file"
_logger = logging.getLogger("drex")


def read_npz(path: Path, names: Collection[str], *, log_others: bool = True) -> dict[str, npt.NDArray[Any]]:
    """The named arrays that the file holds, in native byte order; others are named in one log line.

    ``frames`` is mapped: from the file itself if it is uncompressed there, else from a temporary file (in
    ``TMPDIR``) that is deleted with the array.

    Raises:
        UserError: no such file, not an npz file, damaged, an array of Python objects, two arrays of one name,
            or more than ``LARGEST_BYTES``.
    """
    _check_is_npz(path)
    with damage_as_user_error(str(path), _WHOLE), zipfile.ZipFile(path) as archive:
        entries = _entries(path, archive, names, log_others)
        headers = {name: _header(path, archive, entry) for name, entry in entries.items()}
        _check_size(path, headers)
        return {name: _array(path, archive, entry, headers[name]) for name, entry in entries.items()}


def write_npz(
    path: Path,
    arrays: Mapping[str, npt.NDArray[Any]],
    *,
    frames: npt.NDArray[Any] | None = None,
    order: npt.NDArray[np.int64] | None = None,
    map_frames: bool = False,
) -> None:
    """Write a compressed file atomically; equal arrays give equal bytes.

    Args:
        path: the file; replaced if it exists.
        arrays: by name.
        frames: (stored, *frame shape), written as ``frames``, a few at a time.
        order: rows of the frames to write, in this order; needed with ``frames``.
        map_frames: leave the frames uncompressed, to be mapped when read.

    Raises:
        UserError: the place cannot be written to; an existing file is left unchanged.
    """
    if path.is_dir():
        raise UserError(str(path), expected="a place that can be written to", found="a folder")
    with written_whole(path) as place, open(place, "x+b") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]
        if frames is not None and order is not None:
            _append_frames(file, frames, order, map_frames)


def _append_frames(
    file: BinaryIO, frames: npt.NDArray[Any], order: npt.NDArray[np.int64], map_frames: bool
) -> None:
    compression = zipfile.ZIP_STORED if map_frames else zipfile.ZIP_DEFLATED
    shape, descr = (len(order), *frames.shape[1:]), np.lib.format.dtype_to_descr(frames.dtype)
    header = {"shape": shape, "fortran_order": False, "descr": descr}
    with (
        zipfile.ZipFile(file, "a", compression) as archive,
        archive.open("frames.npy", "w", force_zip64=True) as member,
    ):
        np.lib.format.write_array_header_1_0(member, header)
        for chunk in frames_in_order(frames, order):
            member.write(chunk.tobytes())


def describe_path(path: Path) -> str:
    """What is at this path, for the sentence of an error."""
    try:
        if path.is_file():
            with path.open("rb") as file:
                magic = file.read(4)
            return _MAGICS.get(magic, f"a file that begins with {magic!r}")
        if path.exists():  # opening a pipe would block
            return "a folder" if path.is_dir() else "no regular file"
    except OSError as error:
        return error.strerror or str(error)
    return "no such file"


def _check_is_npz(path: Path) -> None:
    with contextlib.suppress(OSError):
        if path.is_file() and zipfile.is_zipfile(path):
            return
    raise UserError(str(path), expected="an npz file of demonstrations", found=describe_path(path))


def _entries(
    path: Path, archive: zipfile.ZipFile, names: Collection[str], log_others: bool
) -> dict[str, zipfile.ZipInfo]:
    entries: dict[str, zipfile.ZipInfo] = {}
    unknown = []
    for entry in archive.infolist():
        name = entry.filename.removesuffix(".npy")
        if name not in names or name == entry.filename:
            unknown.append(entry.filename)
        elif name in entries:
            raise UserError(f"{path}: {name}", expected="one array of this name", found="more than one")
        else:
            entries[name] = entry
    if unknown and log_others:
        _logger.warning("%s: ignored, being no part of the format: %s", path, ", ".join(sorted(unknown)))
    return entries


class Header(NamedTuple):
    """Header of an array, with its size in bytes."""

    shape: tuple[int, ...]
    dtype: np.dtype[Any]
    size: int
    columns_first: bool


def _header(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo) -> Header:
    """The header of an array, without reading its content."""
    where = f"{path}: {entry.filename.removesuffix('.npy')}"
    with damage_as_user_error(where, _WHOLE):
        with archive.open(entry) as member:
            start = io.BytesIO(member.read(_HEADER_BYTES))
        old = np.lib.format.read_magic(start) == (1, 0)
        read = np.lib.format.read_array_header_1_0 if old else np.lib.format.read_array_header_2_0
        shape, columns_first, dtype = read(start)
    if dtype.hasobject:
        found = "Python objects (pickle), which are never read"
        advice = "save it as a plain array; episodes of unequal length are laid end to end"
        raise UserError(where, expected="plain numbers", found=found, do=advice)
    return Header(shape, dtype, start.tell(), columns_first)


def _check_size(path: Path, headers: Mapping[str, Header]) -> None:
    sizes = {name: math.prod(header.shape) * header.dtype.itemsize for name, header in headers.items()}
    if sum(sizes.values()) > LARGEST_BYTES:
        largest = max(sizes, key=lambda name: sizes[name])
        expected = f"at most {LARGEST_BYTES} bytes once unpacked, all arrays together"
        found = f"{sum(sizes.values())} bytes, {sizes[largest]} of them here"
        raise UserError(f"{path}: {largest}", expected=expected, found=found)


def _array(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, header: Header) -> npt.NDArray[Any]:
    where = f"{path}: {entry.filename.removesuffix('.npy')}"
    shape, dtype = header.shape, header.dtype
    declared, present = math.prod(shape) * dtype.itemsize, entry.file_size - header.size
    if declared != present:
        raise UserError(where, expected=f"{declared} bytes for {shape} {dtype}", found=f"{present} bytes")
    with damage_as_user_error(where, _WHOLE):
        if entry.filename == "frames.npy" and not header.columns_first:
            return _mapped(path, archive, entry, header)
        with archive.open(entry) as member:
            array: npt.NDArray[Any] = np.lib.format.read_array(member, allow_pickle=False)
    return array.astype(dtype.newbyteorder("="), copy=False)  # torch reads no foreign byte order


def _mapped(path: Path, archive: zipfile.ZipFile, entry: zipfile.ZipInfo, header: Header) -> npt.NDArray[Any]:
    if entry.compress_type == zipfile.ZIP_STORED:
        with path.open("rb") as file:
            # Between an entry's offset and its content: 30 bytes that end with two lengths, name and extra.
            file.seek(entry.header_offset + 26)
            name, extra = struct.unpack("<HH", file.read(4))
            offset = entry.header_offset + 30 + name + extra + header.size
            return np.memmap(file, header.dtype, "r", offset, header.shape)
    with archive.open(entry) as member, tempfile.TemporaryFile() as unpacked:
        member.read(header.size)
        shutil.copyfileobj(member, unpacked, 2**20)
        unpacked.flush()
        return np.memmap(unpacked, header.dtype, "r", shape=header.shape)
