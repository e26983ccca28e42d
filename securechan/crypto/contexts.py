"""What each kind of our signatures is for.

Every signature has a context, and signatures made for one use never verify for another. MLS carries its labels inside
what is signed (RFC 9420 §5.1.2), so its context is empty; everything else says ``securechan/1 <use>``.
"""

from __future__ import annotations

from typing import Final

MLS: Final = b""
HANDSHAKE: Final = b"securechan/1 handshake"
BULLETIN: Final = b"securechan/1 bulletin"
ENROL: Final = b"securechan/1 enrol"
REQUEST: Final = b"securechan/1 request"
RECEIPT: Final = b"securechan/1 receipt"
CONSENT: Final = b"securechan/1 consent"
HEAD: Final = b"securechan/1 head"
TUF: Final = b"securechan/1 tuf"
