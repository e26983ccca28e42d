"""Bytes one can say on the telephone: sixteen bits a word, consonant vowel consonant vowel consonant.

The words are proquints (Wilkerson, "A Proposal for Proquints", 2009): sixteen consonants, four vowels, spelt as they
sound. Officers compare them across borders, so no language's word list will do: an English list has *through* and
*threw*, and its words are not everybody's. Six words carry 96 bits, so that nobody who knows an invite's code can
search for a request of his own with the same words; six of a 2,048-word list carry 66, which some could afford.
"""

from __future__ import annotations

import re
from typing import Final

from securechan.errors import Malformed, Misuse

CONSONANTS: Final = "bdfghjklmnprstvz"
VOWELS: Final = "aiou"
_LETTERS: Final = re.compile(r"[a-z]+")
_FORM: Final = re.compile(rf"[{CONSONANTS}][{VOWELS}][{CONSONANTS}][{VOWELS}][{CONSONANTS}]")


def words(data: bytes, count: int) -> tuple[str, ...]:
    """The first ``count`` words of ``data``, two bytes each. Raises Misuse where there is too little."""
    if len(data) < 2 * count:
        raise Misuse(f"{count} words need {2 * count} bytes, there are {len(data)}")
    return tuple(_word(int.from_bytes(data[2 * n : 2 * n + 2], "big")) for n in range(count))


def _word(value: int) -> str:
    return (
        CONSONANTS[value >> 12]
        + VOWELS[value >> 10 & 3]
        + CONSONANTS[value >> 6 & 15]
        + VOWELS[value >> 4 & 3]
        + CONSONANTS[value & 15]
    )


def same(said: str, expected: tuple[str, ...]) -> bool:
    """Whether what a person typed is these words, however it is spaced, hyphenated or capitalised."""
    return tuple(_LETTERS.findall(said.lower())) == expected


def check(said: str, count: int) -> None:
    """Returns if ``said`` can be ``count`` words at all. Raises Malformed (``words-form``), saying first whether one
    was left out and then which are none: a slip of the ear is no alarm."""
    found = _LETTERS.findall(said.lower())
    slips = [word for word in found if not _FORM.fullmatch(word)]
    if len(found) == count and not slips:
        return
    number = "" if len(found) == count else f"{count} words are needed, and these are {len(found)}"
    none = f"{', '.join(slips[:count])} can't be among them" if slips else ""
    raise Malformed(
        "; ".join(filter(None, (number, none))),
        hint="have them read out again, each spelt: consonant, vowel, consonant, vowel, consonant",
        code="words-form",
    )
