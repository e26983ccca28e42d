"""What people and scripts are told of a ceremony: what it changes, who has signed, and what is missing."""

from __future__ import annotations

from typing import Any

from securechan.trust.bundle import Ceremony
from securechan.trust.draft import Signing

Json = dict[str, Any]


def tell_drafts(ceremony: Ceremony) -> Json:
    """What a ceremony changes, and who has signed."""
    return {
        "root": None if ceremony.base is None else ceremony.base.root_id.hex(),
        "changes": list(ceremony.describe()),
        "signing": [tell_signing(signing) for signing in ceremony.status()],
        "complete": ceremony.complete,
    }


def tell_signing(signing: Signing) -> Json:
    """How far one document is."""
    return {
        "role": signing.role,
        "version": signing.version,
        "by": signing.delegator,
        "signed": sorted(signing.signed),
        "waiting": sorted(signing.waiting),
        "needed": signing.needed,
        "missing": signing.missing,
    }


def tell_progress(ceremony: Ceremony) -> Json:
    """What a ceremony changes, and what it still needs."""
    return {
        "changes": list(ceremony.describe()),
        "complete": ceremony.complete,
        "missing": [
            {"role": signing.role, "by": signing.delegator, "missing": signing.missing}
            for signing in ceremony.status()
            if signing.missing
        ],
    }
