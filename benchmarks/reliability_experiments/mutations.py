"""Random damage to files: of bytes in any file, of values in JSON, of members in a zip, of arrays in HDF5."""

from __future__ import annotations

import io
import json
import random
import struct
import zipfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np

_NUMBERS = (0, -1, 1, 2**31, 2**63, 10**30, -(2**63) - 1, 0.5, 1e308, float("nan"), float("inf"), 65536)
_VALUES: tuple[Any, ...] = (
    *_NUMBERS,
    None,
    True,
    False,
    "",
    "x",
    "x" * 10_000,
    "\x1b[2J",
    [],
    {},
    [[]],
    [None],
)
_SHAPES = ((), (0,), (1,), (2, 3), (3, 2, 1), (2**40,), (2**33, 0), (2**20, 2**20))
_DTYPES = ("<f4", "<f8", "<i8", "|u1", "|b1", "|O", "<U8", "|S3", "<c8", "<M8[s]", "|V4", ">f4")


def mutate(path: Path, rng: random.Random, *, sound: bool = True) -> str:
    """Damage one file, or one file of a folder, in place; what was done.

    Args:
        path: the file or folder.
        rng: draws the damage.
        sound: whether it is undamaged so far, so that its structure can be read.
    """
    files = [path] if path.is_file() else sorted(file for file in path.rglob("*") if file.is_file())
    file = rng.choice(files)
    fitting = {
        ".json": _json_text,
        ".npz": _zip,
        ".zip": _zip,
        ".hdf5": _hdf5,
        ".safetensors": _safetensors,
        ".csv": _lines,
    }.get(file.suffix)
    if len(files) > 1 and rng.random() < 0.03:
        file.unlink()
        return f"{file.name}: removed"
    if sound and fitting is not None and rng.random() < 0.6:
        return f"{file.name}: {fitting(file, rng)}"
    content, done = _bytes(file.read_bytes(), rng)
    file.write_bytes(content)
    return f"{file.name}: {done}"


def _bytes(content: bytes, rng: random.Random) -> tuple[bytes, str]:
    """Some bytes changed, removed, repeated or added."""
    place, length = rng.randrange(len(content) + 1), rng.choice((1, 1, 2, 4, 16, 256, 4096))
    before, there, after = content[:place], content[place : place + length], content[place + length :]
    kind = rng.choice(
        ("flip", "flip", "random", "zero", "ones", "remove", "insert", "repeat", "cut", "empty")
    )
    if kind == "flip" and there:
        changed = bytes([there[0] ^ (1 << rng.randrange(8))]) + there[1:]
        return before + changed + after, f"a bit flipped at {place}"
    if kind == "empty" and rng.random() < 0.2:
        return b"", "emptied"
    if kind == "cut":
        return before, f"cut at {place}"
    middle = {
        "random": rng.randbytes(len(there)),
        "zero": bytes(len(there)),
        "ones": b"\xff" * len(there),
        "remove": b"",
        "insert": rng.randbytes(length) + there,
        "repeat": there * 2,
    }.get(kind, b"\x00")
    return before + middle + after, f"{kind}, {length} bytes at {place}"


def _json_text(file: Path, rng: random.Random) -> str:
    value = json.loads(file.read_text())
    value, done = _json(value, rng)
    file.write_text(json.dumps(value))
    return done


def _json(value: Any, rng: random.Random) -> tuple[Any, str]:  # noqa: ANN401
    """The value with one part of it, at any depth, replaced, removed, renamed or repeated."""
    inner = value if isinstance(value, dict | list) and len(value) else None
    if inner is None or rng.random() < 0.15:
        new = rng.choice(_VALUES)
        return new, f"{str(value)[:40]} -> {str(new)[:20]}"
    key = rng.choice(sorted(value, key=str) if isinstance(value, dict) else range(len(value)))
    kind = rng.random()
    if kind < 0.75:
        inner[key], done = _json(inner[key], rng)
        return inner, f"{key}: {done}"
    if isinstance(inner, dict):
        old = inner.pop(key)
        if kind > 0.87:
            inner[rng.choice((f"{key}x", "", "__class__", key.upper()))] = old
            return inner, f"{key} renamed"
    elif kind > 0.87:
        inner.insert(key, inner[key])
        return inner, f"{key} repeated"
    else:
        del inner[key]
    return inner, f"{key} removed"


def _zip(file: Path, rng: random.Random) -> str:
    """A member changed, with a right checksum: what damage on a disk cannot do."""
    with zipfile.ZipFile(file) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    name, kind = (
        rng.choice(sorted(members)),
        rng.choice(("bytes", "header", "header", "drop", "rename", "swap")),
    )
    if kind == "drop":
        del members[name]
    elif kind == "rename":
        members[rng.choice(("../../up.npy", "x.npy", "folder/", "/root.npy", name.upper()))] = members.pop(
            name
        )
    elif kind == "swap":
        other = rng.choice(sorted(members))
        members[name], members[other] = members[other], members[name]
    elif kind == "header" and name.endswith(".npy"):
        members[name] = _npy(members[name], rng)
    elif name == "data":
        members[name] = json.dumps(_json(json.loads(members[name]), rng)[0]).encode()
    else:
        members[name] = _bytes(members[name], rng)[0]
    way = rng.choice((zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED))
    with zipfile.ZipFile(file, "w", way) as archive:
        for member, content in members.items():
            archive.writestr(member, content)
    return f"{name}: {kind}"


def _npy(content: bytes, rng: random.Random) -> bytes:
    """An npy file whose header declares another shape, dtype or order."""
    array = np.load(io.BytesIO(content), allow_pickle=False)
    header = {"descr": array.dtype.str, "fortran_order": False, "shape": array.shape}
    header |= rng.choice(
        (
            {"descr": rng.choice(_DTYPES)},
            {"shape": rng.choice(_SHAPES)},
            {"fortran_order": True},
            {"shape": (-1, *array.shape[1:])},
            {"more": 1},
        )
    )
    text = repr(header).encode()
    return b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + content[-array.nbytes :]


def _hdf5(file: Path, rng: random.Random) -> str:
    """An array removed, renamed, emptied, or of another dtype or shape."""
    names: list[str] = []
    with h5py.File(file, "a") as opened:
        opened.visititems(lambda name, item: names.append(name) if isinstance(item, h5py.Dataset) else None)
        if not names:
            return "nothing in it"
        name = rng.choice(names)
        old, kind = (
            opened[name][()],
            rng.choice(("remove", "dtype", "shape", "values", "sparse", "group", "link")),
        )
        if kind == "values":
            changed = np.array(old)
            if changed.size and changed.dtype.kind in "fiub":
                changed.reshape(-1)[rng.randrange(changed.size)] = rng.choice((0, 1, 127))
            opened[name][...] = changed
            return f"{name}: a value"
        del opened[name]
        if kind == "dtype":
            opened[name] = np.zeros(np.shape(old), rng.choice(("<i2", "S4", "<c8", "?", "<f2", ">f8")))
        elif kind == "shape":
            opened[name] = np.zeros(rng.choice(_SHAPES[:5]), np.asarray(old).dtype)
        elif kind == "sparse":  # a few bytes that declare gigabytes
            shape = rng.choice(((2**34,), (2**17, 2**17), (2**30, 3)))
            opened.create_dataset(
                name, shape, "<f4", chunks=tuple(min(n, 2**10) for n in shape), compression=1
            )
        elif kind == "group":
            opened.create_group(name)
        elif kind == "link":
            opened[name] = rng.choice(
                (h5py.SoftLink("/none"), h5py.ExternalLink("/etc/passwd", "/"), h5py.SoftLink("/"))
            )
    return f"{name}: {kind}"


def _safetensors(file: Path, rng: random.Random) -> str:
    """The header changed: names, dtypes, shapes, offsets."""
    content = file.read_bytes()
    (length,) = struct.unpack("<Q", content[:8])
    header, done = _json(json.loads(content[8 : 8 + length]), rng)
    text = json.dumps(header).encode()
    file.write_bytes(struct.pack("<Q", len(text)) + text + content[8 + length :])
    return done


def _lines(file: Path, rng: random.Random) -> str:
    """A line or a cell changed."""
    lines = file.read_text().splitlines()
    place = rng.randrange(len(lines))
    cells = lines[place].split(",")
    cells[rng.randrange(len(cells))] = rng.choice(
        ("", "-1", "nan", "1e999", "x", '"', "0", "3", "9" * 30, "é")
    )
    lines[place] = rng.choice((",".join(cells), lines[place] + ",1", "", lines[0]))
    file.write_text("\n".join(lines))
    return f"line {place}"
