"""What RFC 9420 leaves to the application: how much of the past a group keeps, and how long a key package may live.

To keep keys is to trade. A key that waits for a late message opens it for whoever takes the device meanwhile, too
(§9.2): every past epoch and every skipped key that is kept is forward secrecy put off. Where a transport loses nothing
and orders all, nothing is worth keeping; where it is a mail service, a few epochs may be. By default no past epoch is
kept, and a thousand skipped keys a sender while its epoch lasts (§15.3); the agent of this project keeps it so, since
it reads a log in order, of which only what the relay put off can be out of order within an epoch.

Terms are settings, not state: a group gets them when it is made, joined or read from the vault.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from securechan.errors import Misuse
from securechan.mls.ratchets import MAX_SKIPPED

MAX_PAST_EPOCHS: Final = 5


@dataclass(frozen=True, slots=True)
class Terms:
    """One application's choices. Raises `Misuse` beyond the bounds."""

    past_epochs: int = 0
    """Epochs gone by whose application messages still open: 0 to 5."""
    skipped: int = MAX_SKIPPED
    """Keys of generations passed over that are kept for each sender and kind of message: 0 to 1,000."""
    max_lifetime: int | None = None
    """Seconds that an added key package may live from end to end (§7.2: an application must decide); None: any."""

    def __post_init__(self) -> None:
        if not 0 <= self.past_epochs <= MAX_PAST_EPOCHS:
            raise Misuse(f"{self.past_epochs} past epochs where 0 to {MAX_PAST_EPOCHS} can be kept")
        if not 0 <= self.skipped <= MAX_SKIPPED:
            raise Misuse(f"{self.skipped} skipped keys where 0 to {MAX_SKIPPED} can be kept")
        if self.max_lifetime is not None and self.max_lifetime <= 0:
            raise Misuse(f"a lifetime of {self.max_lifetime} seconds")


DEFAULT: Final = Terms()
