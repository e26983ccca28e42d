"""What trust says, as records: the ``custom`` fields of TUF targets.

    path                          record              in the document of
    federation/policy             Policy              targets
    agencies/<agency>             AgencyRecord        targets
    relays/<relay>                RelayRecord         targets
    communities/<community>       CommunityBinding    targets
    <agency>/<device>             DeviceRecord        <agency>-roster
    <agency>/+<n>                 Tombstone           <agency>-roster      n = 1, 2, …: the order of revocation
    <agency>/@<officer>           SealedCard          <agency>-roster

A record is checked by its own model alone; what relates records to each other is in ``document`` and ``workflow``. In
JSON, bytes are base64 (RFC 4648 §4, padded). Unknown fields are refused: every member must reach the same verdict on a
publication, so a new field is a new version of the protocol.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from collections.abc import Iterable
from functools import cached_property
from typing import Annotated, Any, Final, Literal, Protocol, Self, TypeVar

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainSerializer,
    ValidationError,
    model_validator,
)

from securechan.crypto import kem
from securechan.crypto.signature import COMPOSITE
from securechan.crypto.suite import HYBRID, SUITES
from securechan.errors import Invalid, NotFound, SecurechanError
from securechan.trust import names, strict

HASH_SIZE: Final = 48
DAY: Final = 86_400
SUITE: Final = HYBRID.name


def key_hash(public: bytes) -> bytes:
    """SHA-384 of a signature public key: what names it in trust, MLS leaves and bulletins. 48 bytes."""
    return hashlib.sha384(public).digest()


def kem_key_id(public: bytes) -> str:
    """The id of a relay's KEM key: 32 hex digits, the first 16 bytes of its SHA-384."""
    return hashlib.sha384(public).hexdigest()[:32]


def _bytes(value: object) -> object:
    if isinstance(value, str):
        try:
            decoded = base64.b64decode(value, validate=True)
        except (binascii.Error, ValueError):
            raise ValueError("not base64") from None
        if base64.b64encode(decoded).decode("ascii") != value:
            raise ValueError("not the one base64 form of its bytes")
        return decoded
    return value


def _in_order(value: Iterable[str]) -> list[str]:
    return sorted(value)


def _agency(name: str) -> str:
    if not names.is_agency(name):
        raise ValueError("no agency name")
    return name


def _handle(name: str) -> str:
    if not names.is_handle(name):
        raise ValueError("no such name is allowed")
    return name


def _device(name: str) -> str:
    try:
        names.split_device(name)
    except Invalid as error:
        raise ValueError(error.message) from None
    return name


def _plain(text: str) -> str:
    if text != text.strip() or not text.isprintable():
        raise ValueError("control characters, or blanks at an end")
    return text


Blob = Annotated[
    bytes, BeforeValidator(_bytes), PlainSerializer(lambda b: base64.b64encode(b).decode("ascii"), when_used="json")
]
AgencyName = Annotated[str, AfterValidator(_agency)]
Handle = Annotated[str, AfterValidator(_handle)]
DeviceName = Annotated[str, AfterValidator(_device)]
Title = Annotated[str, Field(max_length=120), AfterValidator(_plain)]
Hash = Annotated[Blob, Field(min_length=HASH_SIZE, max_length=HASH_SIZE)]
Seconds = Annotated[int, Field(ge=0, le=1 << 40)]
Url = Annotated[str, Field(pattern=r"^wss?://[A-Za-z0-9.:\[\]-]{1,200}(/[A-Za-z0-9._~/-]{0,100})?$")]
Role = Literal["liaison", "desk", "admin"]
Reason = Literal["revoked", "lost", "left", "rotated"]


class Record(BaseModel):
    """What all records share: frozen, strict, no unknown fields."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, ser_json_inf_nan="strings")

    def custom(self) -> dict[str, Any]:
        """The JSON form, as it stands in a TUF document."""
        return self.model_dump(mode="json")

    @classmethod
    def read(cls, custom: object, what: str) -> Self:
        """The record of a JSON value. Raises Invalid."""
        try:
            record = cls.model_validate_json(strict.dump(custom))
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"])[:80]
            raise Invalid(f"{what}: {where!a}: {first['msg'][:120]}", rule="SPEC trust records") from None
        except (ValueError, RecursionError):
            raise Invalid(f"{what}: no record", rule="SPEC trust records") from None
        if record.custom() != custom:  # 1 for true, a set out of order: one record has one form
            raise Invalid(f"{what}: not in its one form", rule="SPEC trust records")
        return record


class Lifetimes(Record):
    """How long documents are made to live, in seconds. What is already signed keeps its own date."""

    timestamp: Annotated[int, Field(ge=3600, le=7 * DAY)] = DAY
    snapshot: Annotated[int, Field(ge=3600, le=30 * DAY)] = 7 * DAY
    roster: Annotated[int, Field(ge=DAY, le=366 * DAY)] = 30 * DAY
    agency: Annotated[int, Field(ge=DAY, le=366 * DAY)] = 90 * DAY
    targets: Annotated[int, Field(ge=DAY, le=366 * DAY)] = 90 * DAY
    root: Annotated[int, Field(ge=7 * DAY, le=5 * 366 * DAY)] = 365 * DAY


class Thresholds(Record):
    """How many key holders must sign, at least."""

    root: Annotated[int, Field(ge=1, le=16)] = 1
    targets: Annotated[int, Field(ge=1, le=16)] = 1
    agency: Annotated[int, Field(ge=1, le=16)] = 1
    roster: Annotated[int, Field(ge=1, le=16)] = 1


class Policy(Record):
    """The federation's shared rules. ``grace`` (seconds) is how long sending goes on after something expired."""

    profiles: Annotated[tuple[str, ...], Field(min_length=1, max_length=8)] = (SUITE,)
    lifetimes: Lifetimes = Lifetimes()
    thresholds: Thresholds = Thresholds()
    devices_per_agency: Annotated[int, Field(ge=1, le=250)] = 100
    agencies: Annotated[int, Field(ge=1, le=1000)] = 500
    grace: Annotated[int, Field(ge=0, le=90 * DAY)] = 14 * DAY

    @model_validator(mode="after")
    def _known(self) -> Self:
        if len(set(self.profiles)) != len(self.profiles) or any(name not in SUITES for name in self.profiles):
            raise ValueError("a profile stands twice or is unknown")
        return self


class AgencyRecord(Record):
    """An agency as the federation admitted it. ``contact`` is how to reach its desk outside the channel."""

    agency: AgencyName
    title: Annotated[Title, Field(min_length=1)]
    country: Annotated[str, Field(pattern=r"^[A-Z]{0,2}$")] = ""
    contact: Title = ""


class RelayRecord(Record):
    """A relay. ``kem``: id → X-Wing key of the handshake; ``online``: key id → composite key that signs heads and, at
    the one publisher, snapshot and timestamp. Two of each while rotating."""

    name: Handle
    urls: Annotated[tuple[Url, ...], Field(min_length=1, max_length=8)]
    kem: Annotated[dict[str, Blob], Field(min_length=1, max_length=2, repr=False)]
    online: Annotated[dict[str, Blob], Field(min_length=1, max_length=2, repr=False)]
    publisher: bool = False

    @classmethod
    def make(
        cls, name: str, urls: Iterable[str], kems: Iterable[bytes], online: Iterable[bytes], *, publisher: bool = False
    ) -> Self:
        """The record over these public keys. Raises Invalid."""
        return made(
            cls,
            name=name,
            urls=tuple(urls),
            kem={kem_key_id(public): public for public in kems},
            online={key_hash(public).hex(): public for public in online},
            publisher=publisher,
        )

    @model_validator(mode="after")
    def _keys(self) -> Self:
        for ident, public in self.kem.items():
            _good_key(kem.MLKEM768_X25519, public)
            if ident != kem_key_id(public):
                raise ValueError("a KEM key's id is not its hash")
        for ident, public in self.online.items():
            _good_key(COMPOSITE, public)
            if ident != key_hash(public).hex():
                raise ValueError("an online key's id is not its hash")
        return self


class CommunityBinding(Record):
    """A community's name, bound to a group or to the devices that may found it: its Welcome is joined unasked."""

    name: Handle
    title: Title = ""
    group: Annotated[Blob, Field(min_length=32, max_length=32)] | None = None
    founders: Annotated[tuple[DeviceName, ...], Field(max_length=16)] = ()

    @model_validator(mode="after")
    def _bound(self) -> Self:
        if self.group is None and not self.founders:
            raise ValueError("bound neither to a group nor to founders")
        return self


class DeviceRecord(Record):
    """A device: whose it is, what it may do, and its public keys.

    ``keys``: suite → signature public keys, the newest last (two while one replaces the other). ``inbox``: the X-Wing
    key (1,216 bytes) that what is for this device alone is sealed to. ``since`` and ``not_after`` are Unix seconds.
    """

    agency: AgencyName
    device: Handle
    officer: Handle
    roles: Annotated[
        frozenset[Role], Field(min_length=1), PlainSerializer(_in_order, return_type=list[str], when_used="json")
    ]
    keys: Annotated[
        dict[str, Annotated[tuple[Blob, ...], Field(min_length=1, max_length=2)]],
        Field(min_length=1, max_length=8, repr=False),
    ]
    inbox: Annotated[Blob, Field(repr=False)]
    since: Seconds
    not_after: Seconds | None = None

    @model_validator(mode="after")
    def _good_keys(self) -> Self:
        if SUITE not in self.keys:
            raise ValueError(f"no key for the suite {SUITE}")
        seen: set[bytes] = set()
        for suite, publics in self.keys.items():
            if suite not in SUITES:
                raise ValueError("a key for an unknown suite")
            for public in publics:
                _good_key(SUITES[suite].signature, public)
                if public in seen:
                    raise ValueError("a key stands twice")
                seen.add(public)
        _good_key(kem.MLKEM768_X25519, self.inbox)
        return self

    @property
    def name(self) -> str:
        """``"agency/device"``."""
        return names.device_name(self.agency, self.device)

    @property
    def address(self) -> str:
        """``"officer@agency"``."""
        return names.officer_address(self.officer, self.agency)

    @property
    def signature_key(self) -> bytes:
        """The newest signature public key of the product's suite."""
        return self.keys[SUITE][-1]

    @cached_property
    def _by_suite(self) -> dict[str, dict[bytes, bytes]]:
        """Suite → key hash → key: asked for at every publication, so hashed once."""
        return {suite: {key_hash(public): public for public in publics} for suite, publics in self.keys.items()}

    def hashes(self, suite: str | None = SUITE) -> tuple[bytes, ...]:
        """Hashes of its signature keys for one suite, or for all (None), oldest first."""
        if suite is None:
            return tuple(key for publics in self._by_suite.values() for key in publics)
        return tuple(self._by_suite.get(suite, ()))

    def public(self, wanted: bytes) -> bytes:
        """The signature public key whose hash is ``wanted``. Raises NotFound."""
        for publics in self._by_suite.values():
            if wanted in publics:
                return publics[wanted]
        raise NotFound(f"{self.name} has no key {wanted.hex()[:16]}", hint="the key may have been rotated: sync")


class Tombstone(Record):
    """Keys that were revoked, for ever. ``rotated``: the device goes on with another key; otherwise it is gone."""

    agency: AgencyName
    device: Handle
    officer: Handle
    keys: Annotated[tuple[Hash, ...], Field(min_length=1, max_length=16)]
    reason: Reason
    at: Seconds

    @property
    def name(self) -> str:
        """``"agency/device"``."""
        return names.device_name(self.agency, self.device)

    @property
    def final(self) -> bool:
        """Whether the device itself is gone."""
        return self.reason != "rotated"


class SealedCard(Record):
    """A contact card as everybody sees it: ciphertext under a directory key (``cards``)."""

    sealed: Annotated[Blob, Field(min_length=1, max_length=4096)]


R = TypeVar("R", bound=Record)


def made(model: type[R], /, **values: object) -> R:
    """A record of our own values; a person may have typed them, so what is wrong is Invalid, not a foreign error."""
    try:
        return model.model_validate(values)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False, include_context=False)[0]
        where = ".".join(str(part) for part in first["loc"])
        raise Invalid(f"{model.__name__}: {where}: {first['msg']}", hint="mend the value and try again") from None


class _Checks(Protocol):
    def check_public(self, public: bytes) -> None: ...


def _good_key(scheme: _Checks, public: bytes) -> None:
    try:
        scheme.check_public(public)
    except SecurechanError as error:
        raise ValueError(error.message) from None
