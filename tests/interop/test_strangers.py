"""Who speaks to a group from outside, and who shows certificates, live: what the walks don't ask for (§5.3, §12.1.8).

An external sender is no member; its proposals are taken up by a member's commit. No other implementation here can be
a member of such a group: ts-mls reads the ``external_senders`` extension in another form, and the bindings of mls-rs
have no word for such a sender. So ts-mls takes part as the sender, by a message that its driver puts together. X.509
credentials are ours and ts-mls's: the bindings of mls-rs and rine-mls make basic ones alone.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from securechan.errors import Invalid
from securechan.mls import credentials
from securechan.mls.group import Group
from securechan.mls.nodes import BasicCredential, Credential, X509Credential
from securechan.mls.validation import ExternalSender, ExternalSenders
from tests.interop.process import Process, Refused
from tests.interop.sides import Ask, Here, command, needs_peers

EXTERNAL_SENDERS = 5
BASIC, X509 = 1, 2


@pytest.fixture(params=["ours", pytest.param("ts-mls", marks=needs_peers)])
def sender(request: pytest.FixtureRequest) -> Iterator[Ask]:
    """Who proposes from outside."""
    if request.param == "ours":
        yield Here()
        return
    with Process(command(request.param)) as process:
        yield process


def senders(*signature_keys: bytes) -> list[tuple[int, str]]:
    """The extension that names them, as the driver takes it."""
    listed = tuple(ExternalSender(key, Credential.of(BasicCredential(b"service"))) for key in signature_keys)
    return [(EXTERNAL_SENDERS, ExternalSenders(listed).encode().hex())]


def signing(private: str) -> Ed25519PrivateKey:
    """Of a seed, or of the PKCS #8 that ts-mls has, which ends with it."""
    return Ed25519PrivateKey.from_private_bytes(bytes.fromhex(private)[-32:])


def public(private: str) -> bytes:
    return signing(private).public_key().public_bytes_raw()


def exported(ask: Ask, group: str) -> str:
    return str(ask("export_secret", group=group, label="label", context="01", length=32)["secret"])


def test_an_external_sender_proposes_and_a_member_commits(sender: Ask) -> None:
    ours = Here()
    service = sender("create_key_package", suite=1, identity="service")  # for its signature key
    another = ours("create_key_package", suite=1, identity="another")
    offers = [ours("create_key_package", suite=1, identity=name) for name in ("member", "leaver")]
    founder = ours("create_group", suite=1, identity="founder")["group"]
    done = ours("add", group=founder, key_packages=[offer["key_package"] for offer in offers])
    member = ours("join", welcome=done["welcome"], kp=offers[0]["kp"])["group"]
    listed = senders(public(another["signature_priv"]), public(service["signature_priv"]))
    done = ours("commit", group=founder, extensions=listed, public=True)
    assert ours("process", group=member, message=done["commit"])["kind"] == "commit"

    def proposed(index: int, **wanted: Any) -> str:
        info = ours("group_info", group=founder)["group_info"]
        key = {"kp": service["kp"], "signature_priv": service["signature_priv"]}
        return str(sender("external_propose", group_info=info, index=index, **key, **wanted)["proposal"])

    newcomer = ours("create_key_package", suite=1, identity="newcomer")
    for wanted, (committer, other) in (
        ({"add": newcomer["key_package"]}, (member, founder)),
        ({"remove": 2}, (founder, member)),
    ):
        message = proposed(1, **wanted)
        for group in (founder, member):
            assert ours("process", group=group, message=message)["kind"] == "proposal"
        done = ours("commit", group=committer, public=True)
        assert ours("process", group=other, message=done["commit"])["kind"] == "commit"
        assert exported(ours, founder) == exported(ours, member)
        if "add" in wanted:
            joined = ours("join", welcome=done["welcome"], kp=newcomer["kp"])["group"]
            assert exported(ours, joined) == exported(ours, founder)
    assert {each["identity"] for each in ours("members", group=founder)["members"]} == {"founder", "member", "newcomer"}

    for index, rule in ((0, r"§6\.1 #1"), (2, r"§6\.1 #3")):  # as the other sender, and as nobody
        message = proposed(index, remove=1)
        for group in (founder, member):
            with pytest.raises(Refused, match=rule):
                ours("process", group=group, message=message)


@needs_peers
def test_external_senders_as_ts_mls_has_them(ts_mls: Process) -> None:
    """§12.1.8.1: the extension holds a vector of senders; ts-mls takes it for one sender, and finds none."""
    ours = Here()
    key = public(ours("create_key_package", suite=1)["signature_priv"])
    offer = ts_mls("create_key_package", suite=1, identity="script")
    founder = ours("create_group", suite=1, identity="founder")["group"]
    done = ours("add", group=founder, key_packages=[offer["key_package"]])
    seat = ts_mls("join", welcome=done["welcome"], kp=offer["kp"])["group"]
    done = ours("commit", group=founder, extensions=senders(key), public=True)
    with pytest.raises(Refused, match="Could not decode external_senders"):
        ts_mls("process", group=seat, message=done["commit"])


@needs_peers
def test_external_senders_are_beyond_the_bindings_of_mls_rs(mls_rs: Process) -> None:
    """They follow a commit of the extension, and have no word for who sent such a proposal."""
    ours = Here()
    service = ours("create_key_package", suite=1)
    offer = mls_rs("create_key_package", suite=1, identity="rust")
    founder = ours("create_group", suite=1, identity="founder")["group"]
    done = ours("add", group=founder, key_packages=[offer["key_package"]])
    seat = mls_rs("join", welcome=done["welcome"], kp=offer["kp"])["group"]
    done = ours("commit", group=founder, extensions=senders(public(service["signature_priv"])), public=True)
    assert mls_rs("process", group=seat, message=done["commit"])["kind"] == "commit"
    assert exported(mls_rs, seat) == exported(ours, founder)
    info, key = ours("group_info", group=founder)["group_info"], service["signature_priv"]
    asked = ours("external_propose", group_info=info, signature_priv=key, index=0, remove=1)
    with pytest.raises(Refused, match="External and NewMember proposal senders are not supported"):
        mls_rs("process", group=seat, message=asked["proposal"])


def certificate(private: str) -> str:
    """A certificate of that key, signed with itself."""
    key = signing(private)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "member")])
    day = dt.timedelta(days=1)
    now = dt.datetime.now(dt.UTC)
    draft = x509.CertificateBuilder().subject_name(name).issuer_name(name).public_key(key.public_key())
    draft = draft.serial_number(x509.random_serial_number()).not_valid_before(now - day).not_valid_after(now + day)
    return draft.sign(key, None).public_bytes(Encoding.DER).hex()


def shown(group: Group) -> dict[int, type]:
    """Each member's kind of credential; the key of a certificate is the leaf's."""
    found: dict[int, type] = {}
    for each in credentials.members(group):
        credentials.check_end_entity(each)
        assert each.leaf is not None
        found[each.leaf] = type(each.credential.body)
    return found


def test_members_with_certificates_and_without(sender: Ask) -> None:
    """§5.3: X.509 credentials are carried by both sides, and handed to the caller to judge."""
    ours, theirs = Here(), sender
    both = {"credential_types": [BASIC, X509]}
    founder = ours("create_group", suite=1, identity="founder", **both)["group"]
    mine = ours("create_key_package", suite=1)["signature_priv"]
    key = theirs("create_key_package", suite=1)["signature_priv"]
    other_key = theirs("create_key_package", suite=1)["signature_priv"]
    asked = {"suite": 1, **both}
    certified = theirs("create_key_package", **asked, signature_priv=key, certificates=[certificate(key)])
    wrongly = theirs("create_key_package", **asked, signature_priv=other_key, certificates=[certificate(mine)])
    ours_too = ours("create_key_package", **asked, signature_priv=mine, certificates=[certificate(mine)])
    done = ours("add", group=founder, key_packages=[certified["key_package"], ours_too["key_package"]])
    seat = theirs("join", welcome=done["welcome"], kp=certified["kp"])["group"]
    here = ours("join", welcome=done["welcome"], kp=ours_too["kp"])["group"]
    for ask, group in ((theirs, seat), (ours, here), (ours, founder)):
        done = ask("update", group=group)
        for other, there in ((theirs, seat), (ours, here), (ours, founder)):
            if there != group or other is not ask:
                assert other("process", group=there, message=done["commit"])["kind"] == "commit"
    assert len({exported(ours, founder), exported(ours, here), exported(theirs, seat)}) == 1
    group = ours.driver.seats[founder].group
    assert shown(group) == {0: BasicCredential, 1: X509Credential, 2: X509Credential}

    ours("add", group=founder, key_packages=[wrongly["key_package"]])
    with pytest.raises(Invalid, match="another key"):
        shown(ours.driver.seats[founder].group)
