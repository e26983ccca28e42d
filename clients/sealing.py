"""How a vault's records look at rest: what they are called, under which key they lie, and what they add up to.

    vault key ─┬─ names       row = HMAC(table, id): the file shows no names
               ├─ records     one key for each (row, version)
               ├─ sums        what notices a row that was taken or put back
               └─ manifest    one key for each generation

**What is noticed.** Altering a record, moving it to another row, table or place in the order, or relabelling its
version fails its tag. Deleting a record or putting an older one back leaves every tag right, so the sealed manifest
holds for each table the number of its records and the sum, modulo 2^256, of a keyed hash over each (row, version,
place, nonce, tag). (Keyed, additive multiset hash: without the key, whose outputs are never stored, no other set of
rows with the same sum can be found.)

**Nonces.** A record's key is HKDF-Expand(vault key, row ‖ version), so within one history a key seals once. A restored
copy of the file could come to the same version again with other content; the nonce is 96 random bits besides, so that
even then two sealings collide with probability 2^-96 for each restored copy. The same holds for the manifest, by
generation. No key ever comes near the 2^32 sealings that random nonces allow (NIST SP 800-38D §8.3).
"""

from __future__ import annotations

import hmac
import secrets
from dataclasses import dataclass
from typing import Annotated, Final

from securechan.codec import U32, U64, Struct, fixed, opaque, text
from securechan.crypto.aead import AES256GCM
from securechan.crypto.kdf import SHA256
from securechan.crypto.secret import Secret
from securechan.errors import CannotOpen, Malformed

SCHEMA: Final = 1  # of all this, and of the tables that it lies in
MAX_RECORD: Final = 64 << 20  # bytes of one value
SUM_MODULUS: Final = 1 << 256


class Record(Struct):
    id: Annotated[str, text(1024)]
    value: Annotated[bytes, opaque(MAX_RECORD)]


class Total(Struct):
    """What one table holds: how many records, and the sum of their hashes."""

    table: Annotated[str, text(64)]
    count: U64
    sum: Annotated[bytes, fixed(32)]


class Manifest(Struct):
    generation: U64
    totals: tuple[Total, ...]


class SealedManifest(Struct):
    schema: U32
    generation: U64
    nonce: Annotated[bytes, fixed(12)]
    sealed: Annotated[bytes, opaque(1 << 20)]


@dataclass(frozen=True, slots=True)
class Row:
    """A record as it lies there."""

    place: int
    row: bytes
    version: int
    nonce: bytes
    sealed: bytes


class Seals:
    """The names and keys of one vault. ``vault``: the 16 bytes that tell it from every other."""

    def __init__(self, vault: bytes, key: Secret) -> None:
        self._vault = vault
        self._names = _subkey(key, b"names")
        self._records = _subkey(key, b"records")
        self._sums = _subkey(key, b"sums")
        self._manifests = _subkey(key, b"manifest")
        self._tables: dict[str, bytes] = {}  # their names, once made

    # -------------------------------------------------------------------------------------------------------- names

    def table(self, table: str) -> bytes:
        """A table's name in the file."""
        name = self._tables.get(table)
        if name is None:
            name = self._tables[table] = hmac.digest(self._names, b"table" + table.encode(), "sha256")[:16]
        return name

    def row(self, tbl: bytes, id: str) -> bytes:
        """A record's name in the file."""
        return hmac.digest(self._names, b"row" + tbl + id.encode(), "sha256")[:16]

    def shelf(self, tbl: bytes, shelf: str) -> bytes:
        """A shelf's name in the file."""
        return hmac.digest(self._names, b"shelf" + tbl + shelf.encode(), "sha256")[:16]

    # ------------------------------------------------------------------------------------------------------ records

    def seal(self, tbl: bytes, row: bytes, place: int, version: int, record: Record) -> Row:
        """A record, sealed for this place and version."""
        nonce = secrets.token_bytes(12)
        key, aad = self._record_key(tbl, row, version), self._aad(tbl, row, place, version)
        return Row(place, row, version, nonce, AES256GCM.seal(key, nonce, aad, record.encode()))

    def open(self, tbl: bytes, row: Row) -> Record:
        """Raises CannotOpen, whose message says what is wrong with the record."""
        key, aad = self._record_key(tbl, row.row, row.version), self._aad(tbl, row.row, row.place, row.version)
        try:
            record = Record.decode(AES256GCM.open(key, row.nonce, aad, row.sealed))
        except (Malformed, CannotOpen) as e:
            raise CannotOpen("was altered") from e
        if self.row(tbl, record.id) != row.row:
            raise CannotOpen("lies in another's place")
        return record

    def hash(self, tbl: bytes, row: Row) -> int:
        """What a record adds to the sum of its table: a keyed hash of what identifies this very sealing of it."""
        numbers = row.version.to_bytes(8, "big") + row.place.to_bytes(8, "big")
        digest = hmac.digest(self._sums, tbl + row.row + numbers + row.nonce + row.sealed[-16:], "sha256")
        return int.from_bytes(digest, "big")

    def _record_key(self, tbl: bytes, row: bytes, version: int) -> Secret:
        return SHA256.expand(self._records, tbl + row + version.to_bytes(8, "big"), 32)

    def _aad(self, tbl: bytes, row: bytes, place: int, version: int) -> bytes:
        return self._vault + tbl + row + place.to_bytes(8, "big") + version.to_bytes(8, "big")

    # ----------------------------------------------------------------------------------------------------- manifest

    def seal_manifest(self, manifest: Manifest) -> bytes:
        """What is stored of a manifest."""
        nonce = secrets.token_bytes(12)
        sealed = AES256GCM.seal(self._manifest_key(manifest.generation), nonce, self._vault, manifest.encode())
        return SealedManifest(SCHEMA, manifest.generation, nonce, sealed).encode()

    def open_manifest(self, stored: bytes) -> Manifest:
        """Raises Malformed, CannotOpen."""
        outer = SealedManifest.decode(stored)
        opened = AES256GCM.open(self._manifest_key(outer.generation), outer.nonce, self._vault, outer.sealed)
        return Manifest.decode(opened)

    def _manifest_key(self, generation: int) -> Secret:
        return SHA256.expand(self._manifests, generation.to_bytes(8, "big"), 32)


def _subkey(key: Secret, label: bytes) -> Secret:
    return SHA256.expand(key, b"securechan/1 vault " + label, 32)
