"""Ways to damage a file, for `test_damaged_files.py`: bits, lengths, encodings, types, keys, and no file at all."""

import copy
import gzip
import json
import os
import random
import re
import socket
import struct
from collections.abc import Callable, Iterator
from io import BytesIO
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from safetensors.torch import load, save


class Mutation(NamedTuple):
    """A way to damage a file.

    Attributes:
        name: What tests call it.
        apply: Damages the file at a path.
        must_be_refused: Whether no reader may take it: it can be nothing but damage, or another type.
    """

    name: str
    apply: Callable[[Path], None]
    must_be_refused: bool = True


def bytes_of(name: str, content: bytes, must_be_refused: bool = True) -> Mutation:
    """Return the mutation that replaces what a file holds."""
    return Mutation(name, lambda path: (path.unlink(), path.write_bytes(content))[0], must_be_refused)


def no_file() -> Iterator[Mutation]:
    """Yield what may stand in the place of a file."""

    def replaced_by(make: Callable[[Path], object]) -> Callable[[Path], None]:
        return lambda path: (path.unlink(), make(path))[0]

    def socket_at(path: Path) -> None:
        here = socket.socket(socket.AF_UNIX)
        before = Path.cwd()
        os.chdir(path.parent)  # the path of a socket may have 108 bytes only
        here.bind(path.name)
        os.chdir(before)
        here.close()

    yield Mutation("a FIFO", replaced_by(os.mkfifo))
    yield Mutation("a folder", replaced_by(Path.mkdir))
    yield Mutation("a loop of links", replaced_by(lambda path: path.symlink_to(path.name)))
    yield Mutation("a link to nothing", replaced_by(lambda path: path.symlink_to("nothing")))
    yield Mutation("a link to a device", replaced_by(lambda path: path.symlink_to("/dev/zero")))
    yield Mutation("a link to a folder", replaced_by(lambda path: path.symlink_to(".")))
    yield Mutation("a socket", replaced_by(socket_at))
    yield Mutation("missing", lambda path: path.unlink())


def of_bytes(
    content: bytes, dice: random.Random, flips: int, *, is_table: bool = False
) -> Iterator[Mutation]:
    """Yield damage of any file; a flipped bit may leave one that is whole, and so may the first lines of a table."""
    for part in sorted({0, 1, 8, len(content) // 4, len(content) // 2, len(content) - 1}):
        yield bytes_of(
            f"first {part} bytes", content[:part], part < len(content) - 2 and (part < 9 or not is_table)
        )
    yield bytes_of("zeros", bytes(len(content)))
    yield bytes_of("random bytes", dice.randbytes(max(len(content), 16)))
    yield bytes_of("0xff", b"\xff" * 300)
    yield bytes_of("compressed", gzip.compress(content))
    yield bytes_of("a pickle", b"\x80\x04\x95\x0b\x00\x00\x00\x00\x00\x00\x00]\x94.")
    yield bytes_of("twice", content + content, must_be_refused=False)
    yield bytes_of("garbage behind", content + b"\x00\x13garbage", must_be_refused=False)
    for _ in range(flips):
        damaged = bytearray(content)
        at, bit = dice.randrange(len(content)), dice.randrange(8)
        damaged[at] ^= 1 << bit
        yield bytes_of(f"bit {bit} of byte {at}", bytes(damaged), must_be_refused=False)


def of_text(content: bytes) -> Iterator[Mutation]:
    """Yield other encodings of a text, with a letter that they write differently."""
    text = content.decode()
    yield bytes_of("UTF-16", text.encode("utf-16"))
    yield bytes_of("UTF-16 without a mark", text.encode("utf-16-le"))
    yield bytes_of("UTF-32", text.encode("utf-32"))
    for encoding in ("latin-1", "cp1252", "mac-roman"):
        yield bytes_of(encoding, ("# µ\n" + text).encode(encoding, errors="replace"))
    yield bytes_of("a mark", text.encode("utf-8-sig"), must_be_refused=False)
    yield bytes_of("carriage returns", text.replace("\n", "\r\n").encode(), must_be_refused=False)
    yield bytes_of("no end of the last line", text.rstrip("\n").encode(), must_be_refused=False)
    yield bytes_of("a NUL", text.replace("\n", "\n\0", 1).encode())


# What takes the place of a value: JSON text. `true` where a number stands, numbers beyond any type, no numbers.
STRANGE = (
    "null", "true", '"evil"', "-1e308", "1e400", "-1e400", "9" * 400, "9" * 5000, "NaN", "-Infinity", "[]", "{}",
    "[" * 1000 + "]" * 1000, '{"a":' * 1000 + "1" + "}" * 1000, '""', "-7.5",
)  # fmt: skip
SHORT = {text: text if len(text) < 20 else f"{text[:6]}... of {len(text)}" for text in STRANGE}


def of_json(content: bytes, dice: random.Random, number: int) -> Iterator[Mutation]:
    """Yield JSON with values of other types, keys missing or too many, lists too short or too long."""
    values = json.loads(content)
    places = list(_places(values))
    for whole in ("{}", "[]", "[[[[", "null", "7", '"x"', "[" * 1000 + "]" * 1000, "[" * 100_000, "{" * 9):
        yield bytes_of(f"whole {whole[:8]}", whole.encode())
    for place in dice.choices(places, k=number):
        strange = dice.choice(STRANGE)
        mark = "@@@"
        text = json.dumps(_with(values, place, mark)).replace(f'"{mark}"', strange)
        same_kind = _kind(_at(values, place)) == _kind_of_text(strange)
        yield bytes_of(
            f"{_name(place)} = {SHORT[strange]}", text.encode(), not same_kind and strange != "null"
        )
        changed = copy.deepcopy(values)
        parent = _at(changed, place[:-1])
        del parent[place[-1]]
        yield bytes_of(f"without {_name(place)}", json.dumps(changed).encode(), must_be_refused=False)
        changed = copy.deepcopy(values)
        parent = _at(changed, place[:-1])
        if isinstance(parent, dict):
            parent["stranger"] = 1
        else:
            parent.append({"stranger": 1})
        yield bytes_of(f"with a stranger beside {_name(place)}", json.dumps(changed).encode(), False)


def _places(values: Any, at: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    keys = (
        list(values) if isinstance(values, dict) else range(len(values)) if isinstance(values, list) else ()
    )
    for key in keys:
        yield (*at, key)
        yield from _places(values[key], (*at, key))


def _at(values: Any, place: tuple[Any, ...]) -> Any:
    for key in place:
        values = values[key]
    return values


def _with(values: Any, place: tuple[Any, ...], value: Any) -> Any:
    changed = copy.deepcopy(values)
    _at(changed, place[:-1])[place[-1]] = value
    return changed


def _name(place: tuple[Any, ...]) -> str:
    return ".".join(map(str, place))


def _kind(value: Any) -> str:
    return "number" if type(value) in (int, float) else type(value).__name__


def _kind_of_text(text: str) -> str:
    return (
        _kind(json.loads(text)) if text in ('"evil"', '""', "-1e308", "-7.5", "[]", "{}", "true") else "none"
    )


def of_toml(content: bytes, dice: random.Random, number: int) -> Iterator[Mutation]:
    """Yield TOML with values of other types, keys missing, unknown or twice, nested tables."""
    lines = content.decode().split("\n")
    places = [i for i, line in enumerate(lines) if re.match(r"\w+ = ", line)]
    deep = (
        "a.b = " + "[" * 1000 + "]" * 1000,
        "x = " + "{a = " * 1000 + "1" + "}" * 1000,
        f"x = {'9' * 400}",
    )
    for text in (*deep, "[" + ".".join("a" * 1000) + "]", "[pulses", "= 3", "x = 1979-05-27", "x = 1\nx = 2"):
        yield bytes_of(f"first {text[:12]}", "\n".join([text, *lines]).encode())
    for i in dice.choices(places, k=number):
        key = lines[i].partition(" = ")[0]
        value = dice.choice(
            (
                "true",
                '"evil"',
                "nan",
                "-inf",
                "-1e308",
                "9" * 400,
                "[]",
                "{}",
                "1979-05-27",
                "[" * 999 + "]" * 999,
            )
        )
        for name, new in (
            (f"{key} = {value[:8]}", f"{key} = {value}"),
            (f"without {key}", ""),
            (f"{key} twice", f"{lines[i]}\n{lines[i]}"),
            (f"{key} misspelt", lines[i].replace(key, key + "x", 1)),
        ):  # fmt: skip
            changed = "\n".join([*lines[:i], new, *lines[i + 1 :]]).encode()
            is_free = key in ("summary", "not_modelled", "technology", "source", "description", "evidence")
            refused = not (
                new == "" or (is_free and value == '"evil"') or (value.startswith("-1e308") and "=" in new)
            )
            yield bytes_of(name, changed, refused and name.split(" = ")[-1] not in ('"evil"',))


def of_csv(content: bytes, dice: random.Random, number: int) -> Iterator[Mutation]:
    """Yield tables with cells that are no numbers, rows and columns too many or missing, a device of a single row."""
    lines = content.decode().strip("\n").split("\n")
    header = lines[0].split(",")
    for i in dice.choices(range(1, len(lines)), k=number):
        column = dice.randrange(len(header))
        cell = dice.choice(
            ("1e400", "-inf", "1_000", "nan", "", "x", "٣", "0x10", "1e308", "1,5", '"', "1 000")
        )
        cells = lines[i].split(",")
        cells[column] = cell
        changed = "\n".join([*lines[:i], ",".join(cells), *lines[i + 1 :]])
        is_name = header[column] in ("device", "target")
        yield bytes_of(f"line {i}, {header[column]} = {cell}", changed.encode(), not is_name)
    row = lines[-1].split(",")
    row[header.index("device")] = "lonely"
    yield bytes_of("a device of a single row", "\n".join([*lines, ",".join(row)]).encode())
    yield bytes_of("no rows", (lines[0] + "\n").encode())
    yield bytes_of("no header", "\n".join(lines[1:]).encode())
    yield bytes_of("a column less", "\n".join(line.rpartition(",")[0] for line in lines).encode(), False)
    yield bytes_of(
        "a column twice", "\n".join(f"{line},{line.rpartition(',')[2]}" for line in lines).encode()
    )


def of_archive(content: bytes, dice: random.Random, number: int) -> Iterator[Mutation]:
    """Yield numpy archives with columns that are short, scalar, of other types, missing, or too many."""
    with np.load(BytesIO(content)) as archive:
        columns = {name: archive[name] for name in archive.files}

    def saved(**changed: Any) -> bytes:
        file = BytesIO()
        np.savez(file, **{k: v for k, v in {**columns, **changed}.items() if v is not None})
        return file.getvalue()

    for name in dice.choices(sorted(columns), k=number):
        values = columns[name]
        yield bytes_of(f"without {name}", saved(**{name: None}))
        if values.ndim:
            yield bytes_of(f"{name} short", saved(**{name: values[:-1]}))
            yield bytes_of(f"{name} a scalar", saved(**{name: values.ravel()[0]}))
        yield bytes_of(f"{name} in words", saved(**{name: values.astype(str)}))
        yield bytes_of(f"{name} of objects", saved(**{name: values.astype(object)}))
        yield bytes_of(f"{name} complex", saved(**{name: values.astype(complex)}))
        yield bytes_of(f"{name} one more dimension", saved(**{name: values[None]}))
    at = content.index(b"\x93NUMPY") if b"\x93NUMPY" in content else 40
    for offset in range(-30, 30, 2):  # the header of a member, and the array's own
        damaged = bytearray(content)
        damaged[max(0, at + offset)] ^= 0x41
        yield bytes_of(f"header byte {at + offset}", bytes(damaged), must_be_refused=False)


def of_tensors(content: bytes, dice: random.Random, number: int) -> Iterator[Mutation]:
    """Yield safetensors files with other types, shapes and names, numbers that are none, damaged headers."""
    tensors = load(content)
    size = struct.unpack("<Q", content[:8])[0]
    metadata = json.loads(content[8 : 8 + size])["__metadata__"]

    def saved(changed: dict[str, Any], **more: str) -> bytes:
        return save({k: v for k, v in {**tensors, **changed}.items() if v is not None}, {**metadata, **more})

    for name in dice.choices(sorted(tensors), k=number):
        values = tensors[name]
        other = torch.float64 if not values.is_floating_point() else torch.int64
        yield bytes_of(f"{name} of {other}", saved({name: values.to(other)}))
        yield bytes_of(
            f"{name} in half precision", saved({name: values.half()}), not values.is_floating_point()
        )
        yield bytes_of(f"without {name}", saved({name: None}))
        yield bytes_of(f"{name} one more dimension", saved({name: values[None].contiguous()}))
        if values.is_floating_point() and values.numel():
            bad = values.clone()
            bad.view(-1)[dice.randrange(bad.numel())] = dice.choice((float("nan"), float("inf")))
            is_free = name.endswith(("drift_start_weight", "drifted_weight"))
            yield bytes_of(f"{name} = {'nan or inf'}", saved({name: bad}), not is_free)
    yield bytes_of("a stranger", saved({"stranger": torch.zeros(3)}))
    for text in ("{}", "[]", "[[[[", "7", "[" * 9999, '{"format": "other"}', '{"format": 7}'):
        yield bytes_of(f"metadata {text[:9]}", save(tensors, dict.fromkeys(metadata, text)))
    for length in (0, 1, 2**40, 2**63, size - 1, size + 1):
        yield bytes_of(f"a header of {length}", struct.pack("<Q", length) + content[8:])
