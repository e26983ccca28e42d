"""Who signs an agency's roster, and how many must: changed by the agency's authority, whose keys lie in files.

    rotation ──► ceremony: the agency's document, and the roster that its new keys sign
                    ──► the authority signs (key files), other administrators sign with theirs ──► published

A new key of this device waits in the vault until trust lists it; only then is it the key that rosters are signed with.
"""

from __future__ import annotations

import base64
from typing import Final

from clients.operations.ceremonies import tell_progress
from clients.operations.engine import Params, Work
from clients.operations.newcomer import OFFICE, ROSTER_KEY
from clients.operations.office import Json, administrator, own_key_id, publish
from clients.vault import Put
from securechan.crypto.signature import COMPOSITE
from securechan.errors import Denied, Invalid, NotFound, Untrusted
from securechan.trust import authority
from securechan.trust.bundle import Ceremony
from securechan.trust.keys import Kind, TrustSigner, generate, key_id
from securechan.trust.names import roster_role

NEXT_KEY: Final = "roster-key-next"


async def rotation(work: Work, params: Json) -> Json:
    """A ceremony that gives the agency other roster keys: ``new_key``: a new one of this device; ``add``: public keys
    (base64); ``drop``: beginnings of key ids; ``threshold`` (0: as it stands). The authority signs it; new holders sign
    the roster in it."""
    said = Params(params)
    await work.synced()
    me, view = administrator(work), work.agent.view
    standing = view.agency(me.agency).roster
    if standing is None:
        raise Untrusted(f"{me.agency} has published nothing yet", code="unknown-agency")
    keys = dict(standing.keys)
    for beginning in said.texts("drop"):
        found = [keyid for keyid in keys if len(beginning) >= 8 and keyid.startswith(beginning)]
        if len(found) != 1:
            raise NotFound(f"no roster key {beginning[:96]!a}", hint="securechan admin status lists them")
        del keys[found[0]]
    writes = []
    if said.flag("new_key"):
        private, public = generate(Kind.COMPOSITE)
        keys.pop(own_key_id(work), None)
        keys[key_id(public)] = public
        writes.append(Put(OFFICE, NEXT_KEY, private))
    for each in said.texts("add"):
        public = base64.b64decode(each, validate=True)
        keys[key_id(public)] = public
    threshold = said.number("threshold", 0) or standing.threshold
    if not 1 <= threshold <= len(keys):
        raise Invalid(
            f"{threshold} of {len(keys)} keys can't sign", hint="name more keys, or a lower threshold", code="usage"
        )
    agency_draft = authority.agency(
        view, me.agency, now=work.now, roster_keys=tuple(keys.values()), roster_threshold=threshold
    )
    roster_draft = authority.roster(view, me.agency, now=work.now)
    work.vault.adopt(writes)
    ceremony = _sign_own(work, Ceremony(view, (agency_draft, roster_draft)))
    return _tell_ceremony(ceremony)


def _sign_own(work: Work, ceremony: Ceremony) -> Ceremony:
    """With this device's roster key, the old one or the next."""
    for row in (NEXT_KEY, ROSTER_KEY):
        private = work.vault.get(OFFICE, row)
        if private is None:
            continue
        try:
            return ceremony.sign(TrustSigner(Kind.COMPOSITE, private))
        except Denied:
            continue
    return ceremony


def _tell_ceremony(ceremony: Ceremony) -> Json:
    return {"ceremony": base64.b64encode(ceremony.encode()).decode("ascii"), **tell_progress(ceremony)}


async def sign_ceremony(work: Work, params: Json) -> Json:
    """``ceremony``: with this device's roster key."""
    await work.synced()
    administrator(work)
    ceremony = Ceremony.decode(Params(params).data("ceremony"), root_id=work.agent.view.root_id)
    return _tell_ceremony(_sign_own(work, ceremony))


async def publish_ceremony(work: Work, params: Json) -> Json:
    """``ceremony``, complete: publish it; a new key of this device's is then its roster key."""
    await work.synced()
    administrator(work)
    view = work.agent.view
    ceremony = Ceremony.decode(Params(params).data("ceremony"), root_id=view.root_id)
    agency = work.agent.agency
    if any(draft.role not in (agency, roster_role(agency)) for draft in ceremony.drafts):
        raise Denied("this ceremony is not your agency's", code="wrong-key")
    documents = ceremony.bundle().documents
    sequence = await publish(work, documents)
    private = work.vault.get(OFFICE, NEXT_KEY)
    standing = work.agent.view.agency(agency).roster
    if private is not None and standing is not None and key_id(COMPOSITE.public(private)) in standing.keys:
        work.vault.adopt([Put(OFFICE, ROSTER_KEY, private), Put(OFFICE, NEXT_KEY, None)])
    return {"published": [role for role, _ in documents], "sequence": sequence}


async def key(work: Work, params: Json) -> Json:
    """This device's roster key, made where there is none: its public half, for the agency's next ceremony."""
    del params
    me = administrator(work)
    private = work.vault.get(OFFICE, ROSTER_KEY) or work.vault.get(OFFICE, NEXT_KEY)
    if private is None:
        private, _ = generate(Kind.COMPOSITE)
        work.vault.adopt([Put(OFFICE, NEXT_KEY, private)])
    public = COMPOSITE.public(private)
    return {"device": me.name, "key": key_id(public), "public": base64.b64encode(public).decode("ascii")}


OPERATIONS: Final = {
    "key": key,
    "rotation": rotation,
    "sign-ceremony": sign_ceremony,
    "publish-ceremony": publish_ceremony,
}
