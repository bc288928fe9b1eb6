"""Columns of Apache Arrow tables as arrays and back: nested lists, one level per axis."""

from __future__ import annotations

import resource
import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from drex.errors import UserError
from drex.files.npz import describe_path
from drex.files.untrusted import check_numbers_dtype, damage_as_user_error, library

Column = Any
"""A pyarrow array, which ships no types; ``Table`` likewise."""
Table = Any
_SMALL_BYTES = 2**30  # that a file of any size, and other threads meanwhile, may take
_LIMITING = threading.Lock()


def read_table(path: Path, container: str) -> Table:
    """A whole table; ``container``: ``"stream"`` (Hugging Face ``datasets``), ``"file"`` or ``"parquet"``.

    Raises:
        UserError: pyarrow is missing, or the file is absent, damaged, or takes more memory than 1 GiB and
            1,032 times its size.
    """
    arrow = library("pyarrow", str(path))
    expected = f"a whole {'Parquet' if container == 'parquet' else 'Arrow'} file"
    if not path.is_file():
        raise UserError(str(path), expected=expected, found=describe_path(path))
    with damage_as_user_error(str(path), expected), _limited_memory(path):
        if container == "parquet":
            parquet = library("pyarrow.parquet", str(path))
            table = parquet.read_table(path, partitioning=None, use_threads=False)
        else:
            with arrow.memory_map(str(path)) as source:
                open_source = arrow.ipc.open_stream if container == "stream" else arrow.ipc.open_file
                table = open_source(source).read_all()
        table.validate(full=True)
        _read_names(table.schema)
        if len(set(table.column_names)) < table.num_columns:
            raise UserError(str(path), expected="columns of different names", found=str(table.column_names))
    return table


@contextmanager
def _limited_memory(path: Path) -> Iterator[None]:
    """Refuse a small file that takes much memory: it need not declare it, so the process is limited."""
    packed = path.stat().st_size
    most = _SMALL_BYTES + 1_032 * packed  # deflate packs no better
    with _LIMITING:
        soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
        allocated = int(Path("/proc/self/statm").read_text().split()[5]) * resource.getpagesize()
        limits = [limit for limit in (soft, hard) if limit != resource.RLIM_INFINITY]
        resource.setrlimit(resource.RLIMIT_DATA, (min([allocated + most, *limits]), hard))
        try:
            yield
        except MemoryError as error:
            expected = f"at most {most} bytes once unpacked, since the file has {packed}"
            raise UserError(str(path), expected=expected, found="more") from error
        finally:
            resource.setrlimit(resource.RLIMIT_DATA, (soft, hard))


def _read_names(fields: Iterable[Any]) -> None:
    """Decode all column names, also nested ones, so that damage is found here and not at first use."""
    for field in fields:
        _ = field.name
        _read_names(field.type.field(index) for index in range(field.type.num_fields))


def to_array(column: Column, where: str) -> npt.NDArray[Any]:
    """Nested lists of equal length, one level per axis, as an array.

    Raises:
        UserError: null entries, lists of unequal length, or no plain numbers.
    """
    arrow = library("pyarrow", where)
    shape = [len(column)]
    while True:
        if isinstance(column, arrow.ExtensionArray):
            column = column.storage
        if column.null_count:
            raise UserError(where, expected="numbers throughout", found=f"{column.null_count} holes (null)")
        column_type = column.type
        if arrow.types.is_fixed_size_list(column_type):
            shape.append(column_type.list_size)
        elif arrow.types.is_list(column_type) or arrow.types.is_large_list(column_type):
            shape.append(_common_length(column, where))
        else:
            break
        column = column.flatten()
    numbers = (arrow.types.is_integer, arrow.types.is_floating, arrow.types.is_boolean)
    if not any(is_number(column_type) for is_number in numbers):
        expected = "numbers, in lists of lists, one level an axis"
        raise UserError(where, expected=expected, found=str(column_type))
    array: npt.NDArray[Any] = np.asarray(column.to_numpy(zero_copy_only=False))
    check_numbers_dtype(array.dtype, where)
    return array.reshape(shape)


def to_lists(array: npt.NDArray[Any], where: str) -> Column:
    """An array of one axis or more as a column of one row, the inverse of ``to_array``."""
    arrow = library("pyarrow", where)
    column = arrow.array(np.ascontiguousarray(array).reshape(-1))
    for axis in range(array.ndim - 1, -1, -1):
        lists, length = int(np.prod(array.shape[:axis], dtype=np.int64)), array.shape[axis]
        if lists * length >= 2**31:  # the offsets of a list are 32 bits wide
            raise UserError(where, expected=f"fewer than {2**31} numbers an episode", found=str(array.size))
        offsets = np.arange(lists + 1, dtype=np.int32) * np.int32(length)
        column = arrow.ListArray.from_arrays(arrow.array(offsets), column)
    return column


def _common_length(column: Column, where: str) -> int:
    lengths = np.unique(np.asarray(column.value_lengths()))
    if len(lengths) != 1:
        found = f"lengths from {lengths.min()} to {lengths.max()}" if len(lengths) else "none"
        raise UserError(where, expected="lists of equal length, one an axis", found=found)
    return int(lengths[0])
