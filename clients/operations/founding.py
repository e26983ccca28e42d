"""An agency that is not in the federation yet: its keys, its first administrators, its application.

    second administrator   prepare ──► bob.administrator ─┐
    first administrator    init    ◄──────────────────────┘ ──► cert-hr.application, signed: authority, first roster key
    second administrator   sign    ◄── the same file ──► signed by the second roster key, where the threshold wants it
    federation             root admit-agency, sign, publish
    each administrator     join ADDRESS ──► trust lists this device ──► enrolled

None of this needs a network but the last. An administrator's papers are signed by the device that they describe;
whoever takes them compares six words, as with any device.
"""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from clients import files
from clients.clock import Clock
from clients.errand import Errand
from clients.federation import Address, replay
from clients.keyfile import KeyFile, PublicKey, Use
from clients.line import Line
from clients.operations import enrol
from clients.operations import newcomer as newcomers
from clients.operations.ceremonies import tell_signing
from clients.operations.newcomer import Newcomer
from clients.passphrase import Passphrases
from clients.profile import Profile
from clients.vault import Put, Vault
from securechan.crypto import contexts
from securechan.crypto.signature import COMPOSITE
from securechan.errors import Conflict, Denied, Invalid, Refused, Untrusted
from securechan.trust import authority, strict, words
from securechan.trust.authority import Application
from securechan.trust.cards import DirectoryKey
from securechan.trust.contents import Roster
from securechan.trust.diff import diff
from securechan.trust.keys import Kind, TrustKey, TrustSigner, generate
from securechan.trust.parcels import MAX_FILE, b64, load_file
from securechan.trust.records import AgencyRecord, DeviceRecord, Role, key_hash

ADMINISTRATOR: Final = "securechan administrator"
APPLICATION: Final = "securechan agency application"
_LABEL: Final = b"securechan/1 administrator"

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Administrator:
    """An administrator's papers: the record of the device, the public key that will sign rosters."""

    record: DeviceRecord
    roster_key: bytes
    signature: bytes

    @classmethod
    def make(cls, newcomer: Newcomer, roles: frozenset[Role]) -> Administrator:
        """Those of a device that was made here."""
        record = newcomer.record(roles, newcomer.made)
        roster_key = TrustSigner(Kind.COMPOSITE, newcomer.roster_private).public
        key = COMPOSITE.load(newcomer.signature_private)
        return cls(record, roster_key, COMPOSITE.sign(key, contexts.ENROL, _signed(record, roster_key)))

    def encode(self) -> bytes:
        """JSON for a file."""
        return strict.dump(
            {
                "kind": ADMINISTRATOR,
                "v": 1,
                "record": self.record.custom(),
                "roster_key": base64.b64encode(self.roster_key).decode("ascii"),
                "signature": base64.b64encode(self.signature).decode("ascii"),
            }
        )

    @classmethod
    def decode(cls, data: bytes) -> Administrator:
        """Raises Malformed, Invalid, BadSignature."""
        value = load_file(data, ADMINISTRATOR)
        record = DeviceRecord.read(value.get("record"), "administrator")
        roster_key, signature = b64(value.get("roster_key")), b64(value.get("signature"))
        TrustKey(Kind.COMPOSITE, roster_key)
        if "admin" not in record.roles:
            raise Invalid(f"{record.name} is no administrator's device", rule="SPEC enrolment")
        COMPOSITE.verify(record.signature_key, contexts.ENROL, _signed(record, roster_key), signature)
        return cls(record, roster_key, signature)

    @property
    def words(self) -> tuple[str, ...]:
        """Six words over all of it, to be compared by voice."""
        return words.words(hashlib.sha384(_LABEL + b" words" + _signed(self.record, self.roster_key)).digest(), 6)


def _signed(record: DeviceRecord, roster_key: bytes) -> bytes:
    return _LABEL + hashlib.sha384(strict.dump(record.custom())).digest() + key_hash(roster_key)


# ------------------------------------------------------------------------------------------------------------ preparing


def prepare(
    profile: Profile,
    passphrase: Callable[[], str],
    *,
    agency: str,
    officer: str,
    device: str,
    roles: frozenset[Role],
    now: int,
) -> tuple[Administrator, Newcomer]:
    """Keys of an administrator's device, in a new vault. The caller holds the profile. Raises Conflict, Invalid."""
    check_free(profile)
    newcomer = _administrator(agency, officer, device, now)
    papers = Administrator.make(newcomer, roles)
    _create(profile, passphrase(), newcomer)
    return papers, newcomer


def check_free(profile: Profile) -> None:
    """Returns where there is no vault yet. Raises Conflict."""
    if profile.enrolled:
        raise Conflict(f"profile {profile.name} is in use already", hint="take another: --profile NAME")


def _administrator(agency: str, officer: str, device: str, now: int) -> Newcomer:
    private, _ = generate(Kind.COMPOSITE)
    name = device or newcomers.suggested_device(officer)
    return Newcomer.make(agency, name, officer, now=now, roster_private=private)


def _create(profile: Profile, passphrase: str, newcomer: Newcomer) -> None:
    profile.make()
    writes = [Put(newcomers.TABLE, newcomers.ROW, newcomer.encode())]
    Vault.create(profile.vault, passphrase, writes=writes).close()


@dataclass(frozen=True, slots=True)
class Authority:
    """Who signs for an agency: keys made elsewhere, how many to make here and where, and how many must sign."""

    folder: Path
    given: tuple[Path, ...] = ()
    made: int = 1
    threshold: int = 0


def init(
    profile: Profile,
    passphrases: Passphrases,
    *,
    record: AgencyRecord,
    officer: str,
    device: str,
    roles: frozenset[Role],
    signs: Authority,
    seconds: Sequence[Administrator],
    threshold: int,
    out: Path,
    now: int,
) -> Json:
    """A new agency: its authority's keys, this administrator's device, the application. The caller holds the profile.
    Raises Conflict where something stands in the way; then nothing was made."""
    agency = record.agency
    check_free(profile)
    if out.exists():
        raise Conflict(f"there is a file {out} already", hint="move it away, or name another with --out")
    for second in seconds:
        if second.record.agency != agency:
            raise Invalid(f"{second.record.name} is of another agency", hint="check whose papers these are")
    given = [PublicKey.load(path, Use.AUTHORITY).public for path in signs.given]
    count = len(given) + signs.made
    needed = signs.threshold or count // 2 + 1
    if not 1 <= needed <= count:
        raise Invalid(f"authority: {needed} of {count} keys can't sign", code="usage")
    if not 1 <= threshold <= len(seconds) + 1:
        raise Invalid(
            f"a roster that needs {threshold} administrators, and there are {len(seconds) + 1}",
            hint="name the others' papers: --second FILE (they run: securechan admin prepare)",
            code="usage",
        )
    paths = [signs.folder / f"{agency}-authority-{number}.key" for number in range(1, signs.made + 1)]
    for path in paths:
        if path.exists():
            raise Conflict(f"there is a key {path} already", hint="name another folder with --keys")

    newcomer = _administrator(agency, officer, device, now)
    mine = Administrator.make(newcomer, roles)
    directory = DirectoryKey.new(agency)
    signer = TrustSigner(Kind.COMPOSITE, newcomer.roster_private)
    roster = authority.roster(None, agency, now=now, add=[mine.record, *(second.record for second in seconds)])
    vault_passphrase = passphrases.new(f"profile {profile.name}")
    made_keys, signers = [], []
    for path in paths:
        said = passphrases.new(f"the key {path.name}")
        key = KeyFile.make(path, Use.AUTHORITY, path.stem, said)
        made_keys.append(key)
        signers.append(key.unlock(Passphrases.of(said)))  # nobody is asked a third time
    papers = authority.application(
        record,
        keys=[*given, *(key.public.public for key in made_keys)],
        threshold=needed,
        roster_keys=[mine.roster_key, *(second.roster_key for second in seconds)],
        roster_threshold=threshold,
        now=now,
        first_roster=roster.sign(signer),
    )
    papers = authority.sign_application(papers, *signers)
    kept = newcomers.with_directory(newcomer, directory)
    _create(profile, vault_passphrase, kept)
    files.write_private(out, papers.encode())
    return {
        "agency": agency,
        "device": mine.record.name,
        "officer": mine.record.address,
        "application": str(out),
        "authority": [str(path) for path in paths],
        "administrators": [
            {"device": second.record.name, "officer": second.record.address, "words": list(second.words)}
            for second in seconds
        ],
        **tell_application(papers),
    }


# -------------------------------------------------------------------------------------------------------------- signing


def read_application(path: Path) -> Application:
    """An application that may still miss signatures. Raises NotFound, Malformed, Invalid."""
    return Application.decode(files.read(path, MAX_FILE), complete=False)


def tell_application(papers: Application) -> Json:
    """What an application says and which signatures miss."""
    draft, roster = papers.draft, papers.documents[1:]
    delegator = authority.alone(papers)
    signings = [draft.signing(delegator), *(document.signing(draft.document) for document in roster)]
    return {
        "changes": [line for document in papers.documents for line in diff(None, document)],
        "signing": [tell_signing(signing) for signing in signings],
        "complete": not any(signing.missing for signing in signings),
    }


def sign_roster(papers: Application, newcomer: Newcomer) -> Application:
    """With this administrator's signature on the first roster. Raises Denied where the roster isn't theirs to sign,
    Untrusted where it lists their device otherwise than they made it."""
    signer = TrustSigner(Kind.COMPOSITE, newcomer.roster_private)
    if len(papers.documents) < 2:
        raise Denied("the application holds no roster", code="wrong-key")
    roster = papers.documents[1]
    signing = roster.signing(papers.draft.document)
    contents = roster.document.contents
    mine = contents.devices.get(newcomer.device) if isinstance(contents, Roster) else None
    if mine is None or newcomer.public not in mine.keys["hybrid"] or mine.inbox != newcomer.inbox_public:
        raise Untrusted(
            f"this roster does not list {newcomer.name} as it was made here",
            hint="do not sign: ask who sent it",
            code="identity-changed",
        )
    if signer.keyid not in signing.waiting:
        raise Denied("no roster here waits for your key", hint="you have signed already", code="wrong-key")
    return Application(papers.record, papers.keys, papers.threshold, (papers.documents[0], roster.sign(signer)))


def sign_authority(papers: Application, keys: Sequence[KeyFile], passphrases: Passphrases) -> Application:
    """With more signatures of the authority. Raises Denied for a key that isn't its."""
    for key in keys:
        if key.public.public not in papers.keys:
            raise Denied(f"{key.path} is no key of this agency's authority", code="wrong-key")
    return authority.sign_application(papers, *(key.unlock(passphrases) for key in keys))


def rewrite(path: Path, papers: Application) -> None:
    """Put the application back."""
    files.write_private(path, papers.encode(), replace=True)


# -------------------------------------------------------------------------------------------------------------- joining


async def join(vault: Vault, address: Address, clock: Clock, line: Line) -> Json:
    """Enrol an administrator whose agency the federation has admitted. Raises Untrusted where trust doesn't list the
    device (yet), or the relay isn't the one that was named."""
    newcomer = newcomers.load(vault)
    if newcomer.invite:
        raise Conflict("this profile comes in with an invite", hint="securechan enrol --resume")
    way = await address.route(newcomer.credential(), line)
    try:
        async with Errand.begin(way, clock) as errand:
            view = await replay(errand, address.root_id)
    except (Refused, Untrusted) as e:
        if e.code in ("refused-unknown", "refused-no-proof", "unknown-device"):
            raise Untrusted(
                f"the federation does not list {newcomer.name} yet",
                hint=f"its administrators admit {newcomer.agency}: securechan root admit-agency, sign, publish",
                code="unknown-device",
            ) from e
        raise
    return await enrol.finish(vault, newcomer, view, way, (), clock)
