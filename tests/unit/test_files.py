"""Files that are none, other people's, or damaged: refused at once with one sentence, and nothing is changed."""

import errno
import json
import os
import socket
import stat

import numpy as np
import pytest

from devices.files import (
    MANIFEST,
    adopt,
    begin_manifest,
    check_name,
    explain,
    is_listed,
    listed,
    open_lock,
    parse_json,
    parse_toml,
    read_arrays,
    read_regular,
    read_text,
    remove,
    write_atomically,
)


def no_file(path, kind):
    """Put something that is no regular file at a path."""
    if kind == "a FIFO":
        os.mkfifo(path)
    elif kind == "a folder":
        path.mkdir()
    elif kind == "a socket":
        here = socket.socket(socket.AF_UNIX)
        here.bind(str(path))
        here.close()
    elif kind == "a device":
        path.symlink_to("/dev/null")
    elif kind == "a loop":
        path.symlink_to(path.name)


@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "a socket", "a device"])
def test_only_regular_files_are_read(tmp_path, kind):
    """Reading a FIFO would wait for ever."""
    no_file(tmp_path / "x", kind)
    with pytest.raises(ValueError, match=rf"`device` must be a regular file, but .*/x is {kind}\. "):
        read_regular(tmp_path / "x", "device")


def test_loops_of_links_and_missing_files_are_named(tmp_path):
    no_file(tmp_path / "x", "a loop")
    with pytest.raises(OSError, match="must lead to a file, but it is a loop of symbolic links"):
        read_regular(tmp_path / "x")
    with pytest.raises(FileNotFoundError, match=r"`run` must be an existing file, but there is no .*/y"):
        read_regular(tmp_path / "y", "run")


def test_a_link_to_a_file_is_read_but_not_replaced(tmp_path):
    (tmp_path / "x").write_bytes(b"old")
    (tmp_path / "link").symlink_to("x")
    assert read_regular(tmp_path / "link") == b"old"
    with pytest.raises(ValueError, match=r"must be a regular file, but .*/link is a symbolic link"):
        write_atomically(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "x").read_bytes() == b"old"


@pytest.mark.parametrize("kind", ["a FIFO", "a folder", "a socket"])
def test_only_regular_files_are_replaced(tmp_path, kind):
    no_file(tmp_path / "x", kind)
    with pytest.raises(ValueError, match=f"must be a regular file, but .* is {kind}"):
        write_atomically(tmp_path / "x", b"new")
    with pytest.raises((ValueError, OSError)):
        open_lock(tmp_path / "x")
    assert [file.name for file in tmp_path.iterdir()] == ["x"]
    assert not stat.S_ISREG((tmp_path / "x").lstat().st_mode)


def test_a_left_over_of_the_same_process_number_does_not_matter(tmp_path):
    (tmp_path / f".x.{os.getpid()}.tmp").symlink_to("elsewhere")
    write_atomically(tmp_path / "x", b"new")
    assert sorted(file.name for file in tmp_path.iterdir()) == ["x"]


@pytest.mark.parametrize(
    ("number", "sentence"),
    [
        (errno.ENOSPC, r"`.*/x` must have room on its disk, but the disk is full .*\. Free some space"),
        (
            errno.EROFS,
            r"`.*/x` must lie where you may write, but the file system is read-only .*\. Choose another",
        ),
        (errno.EACCES, r"`.*/x` must be open to you, but you may not read or write it"),
    ],
)
def test_what_the_system_refuses_names_the_file_and_what_to_do(tmp_path, monkeypatch, number, sentence):
    def refuse(*arguments):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr("os.fsync", refuse)
    with pytest.raises(OSError, match=sentence):
        write_atomically(tmp_path / "x", b"new")
    assert not list(tmp_path.iterdir())
    assert explain(OSError(number, os.strerror(number), str(tmp_path / "x"))).startswith("`")


@pytest.mark.parametrize(
    ("content", "looks_like"),
    [
        ("µS".encode("latin-1"), "text in Latin-1"),
        ("“µS”".encode("cp1252"), "text in Windows-1252"),
        ("µS and more".encode("utf-16"), "text in UTF-16"),
        ("name = 1\n".encode("utf-16-le"), "text in UTF-16"),
        (b"\x1f\x8b\x08\x00", r"a compressed file \(gzip\)"),
        (b"PK\x03\x04\xff", "a zip archive"),
        (b"\x00\x01\x02" * 9, "no text but binary data"),
    ],
)
def test_other_encodings_are_named(tmp_path, content, looks_like):
    (tmp_path / "x").write_bytes(content)
    with pytest.raises(
        ValueError, match=rf"`measured` must be text in UTF-8, but .* it looks like {looks_like}"
    ):
        read_text(tmp_path / "x", "measured")


def test_a_mark_at_the_beginning_is_no_part_of_the_text(tmp_path):
    (tmp_path / "x").write_bytes("a = 1".encode("utf-8-sig"))
    assert read_text(tmp_path / "x") == "a = 1"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("[" * 1000 + "]" * 1000, "nests more than"),
        ("[" * 100_000, "nests more than"),
        ('{"a": {"a": ' * 30 + "1" + "}}" * 30, "nests more than"),
        ("9" * 400, "more than 19 digits"),
        ("9" * 5000, "."),
        ("NaN", "the number NaN"),
        ("-Infinity", "the number -Infinity"),
        ("1e400", "beyond 1.8e308"),
        ('{"a": 1, "a": 2}', "a key twice"),
        ("{", "."),
        ("", "."),
    ],
)
def test_json_that_is_none_of_ours(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_json(text)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("a = " + "[" * 1000 + "]" * 1000, "nests more than"),
        ("[" + ".".join("a" * 1000) + "]\nb = 1", "nests more than"),
        (f"a = {'9' * 400}", "more than 19 digits"),
        ("a = 1\na = 2", "."),
        ("a =", "."),
    ],
)
def test_toml_that_is_none_of_ours(text, reason):
    with pytest.raises(ValueError, match=reason):
        parse_toml(text.encode())
    assert parse_toml(b"a = inf") == {"a": float("inf")}


def test_archives_that_are_none(tmp_path):
    np.savez(tmp_path / "x.npz", a=np.arange(9), b=np.ones(3))
    whole = (tmp_path / "x.npz").read_bytes()
    assert set(read_arrays(whole)) == {"a", "b"}
    for at in range(0, len(whole), 7):
        damaged = bytearray(whole)
        damaged[at] ^= 0x10
        try:
            read_arrays(bytes(damaged))
        except ValueError as error:
            assert "no whole numpy archive" in str(error)  # noqa: PT017
    for part in (whole[:-30], whole[:40], b""):
        with pytest.raises(ValueError, match="no whole numpy archive"):
            read_arrays(part)


@pytest.mark.parametrize(
    "name", ["../../../ESC", "/etc/x", "a/b", "a\\b", "..", ".x", "", " x", "a\nb", "a\0b", "x" * 101]
)
def test_paths_are_no_names(name):
    assert check_name(name) is not None


@pytest.mark.parametrize("name", ["hermes-pcm", "my reram (wafer 7)", "näme", 'a "quoted" one', "1e-3"])
def test_names(name):
    assert check_name(name) is None


@pytest.fixture
def folder(tmp_path):
    begin_manifest(tmp_path)
    write_atomically(tmp_path / "a", b"first")
    write_atomically(tmp_path / "b", b"other")
    return tmp_path


def test_a_manifest_knows_what_was_written(folder):
    assert listed(folder) == ["a", "b"]
    assert read_regular(folder / "a") == b"first"
    write_atomically(folder / "a", b"second")
    assert read_regular(folder / "a") == b"second"
    remove(folder / "a")
    assert listed(folder) == ["b"]
    assert is_listed(folder / "a") is False
    assert not (folder / "a").exists()


@pytest.mark.parametrize("content", [b"fjrst", b"first\n", b"", b"firs"])
def test_a_changed_file_is_named(folder, content):
    (folder / "a").write_bytes(content)
    with pytest.raises(ValueError, match=r"`run` must hold an undamaged a, but .*/a is damaged: its SHA-256"):
        read_regular(folder / "a")
    assert read_regular(folder / "b") == b"other"


def test_every_flipped_bit_of_a_manifest_is_found(folder):
    whole = (folder / MANIFEST).read_bytes()
    for at in range(len(whole)):
        damaged = bytearray(whole)
        damaged[at] ^= 1
        (folder / MANIFEST).write_bytes(bytes(damaged))
        try:
            assert read_regular(folder / "a") == b"first"  # a blank that became another one
        except ValueError as error:
            assert f"undamaged {MANIFEST}" in str(error)  # noqa: PT017
            assert "`" in str(error)  # noqa: PT017
        else:
            assert json.loads(damaged) == json.loads(whole)


def test_names_in_a_manifest_are_no_paths(folder):
    content = json.loads((folder / MANIFEST).read_text())
    content["files"]["../x"] = content["files"].pop("a")
    from devices.files.manifest import _of_all

    content["sha256"] = _of_all(content["files"])
    (folder / MANIFEST).write_text(json.dumps(content))
    with pytest.raises(ValueError, match=r"its entry '\.\./x' is none of a file"):
        listed(folder)


class PowerFailureError(Exception):
    """Stands for the end of the process."""


@pytest.mark.parametrize("step", range(6))
def test_wherever_the_power_fails_the_file_is_one_that_the_manifest_knows(folder, monkeypatch, step):
    """Each write replaces three files: manifest, file, manifest; each is stopped before and after its replacement."""
    from pathlib import Path

    original, calls = Path.replace, []

    def failing(self, target):
        calls.append(None)
        if 2 * (len(calls) - 1) == step:
            raise PowerFailureError
        original(self, target)
        if 2 * (len(calls) - 1) + 1 == step:
            raise PowerFailureError

    with monkeypatch.context() as patch:
        patch.setattr(Path, "replace", failing)
        with pytest.raises(PowerFailureError):
            write_atomically(folder / "a", b"second")
    assert read_regular(folder / "a") == (b"first" if step < 3 else b"second")
    write_atomically(folder / "a", b"third")
    (content,) = [read_regular(folder / "a")]
    assert content == b"third"
    for earlier in (b"first", b"second"):
        (folder / "a").write_bytes(earlier)
        with pytest.raises(ValueError, match="is damaged"):
            read_regular(folder / "a")


def test_files_of_earlier_versions_are_taken_as_they_are(tmp_path):
    (tmp_path / "a").write_bytes(b"old")
    assert is_listed(tmp_path / "a") is None
    adopt(tmp_path, [tmp_path / "a"])
    assert read_regular(tmp_path / "a") == b"old"
    (tmp_path / "a").write_bytes(b"odd")
    with pytest.raises(ValueError, match="is damaged"):
        read_regular(tmp_path / "a")


def test_a_folder_whose_name_is_no_utf8(tmp_path):
    """As names in Latin-1, from older systems, are."""
    folder = tmp_path / os.fsdecode(b"l\xfcbeck")
    folder.mkdir()
    begin_manifest(folder)
    write_atomically(folder / os.fsdecode(b"\xff"), b"content")
    assert read_regular(folder / os.fsdecode(b"\xff")) == b"content"
