"""Files: only regular ones are read and replaced, written whole or not at all, and known by their SHA-256.

Lowest of all rooms: whatever the program reads or writes goes through here. So a FIFO, a folder, a loop of links,
a foreign encoding, a flipped bit or a full disk is met by the same sentence everywhere.
"""

from .access import check_regular, read_regular, read_text, write_atomically
from .manifest import MANIFEST, adopt, begin_manifest, is_listed, listed, remove
from .names import check_name
from .parsing import parse_json, parse_toml, read_arrays, text_of
from .regular import explain, make_folder, open_lock

__all__ = [
    "MANIFEST",
    "adopt",
    "begin_manifest",
    "check_name",
    "check_regular",
    "explain",
    "is_listed",
    "listed",
    "make_folder",
    "open_lock",
    "parse_json",
    "parse_toml",
    "read_arrays",
    "read_regular",
    "read_text",
    "remove",
    "text_of",
    "write_atomically",
]
