"""Where the tests find files that others made.

Test vectors and sample bulletins come from other people's repositories and aren't committed here. They are looked for
where ``SECURECHAN_VECTORS`` and ``SECURECHAN_DATA`` point, else in ``../shared/vectors`` and ``../shared/data`` beside
the repository; vectors of our own making are in ``tests/vectors``. A test whose file isn't there is skipped, and the
skip line says where a stranger gets it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from importlib import util
from pathlib import Path
from typing import Any, Final

import pytest

_TESTS: Final = Path(__file__).resolve().parents[1]
_BESIDE: Final = _TESTS.parents[1] / "shared"

_SOURCES: Final = {
    "mls": "github.com/mlswg/mls-implementations, test-vectors/, commit cfd450286d1bfd9cd2519b95c80f9771f94a5b1a",
    "pq": "this project's releases (made by running ts-mls and rine-mls)",
    "primitives/xwing-test-vectors.json": "draft-connolly-cfrg-xwing-kem, spec/test-vectors.json",
    "primitives/composite-sigs-test-vectors.json": (
        "github.com/lamps-wg/draft-composite-sigs, src/testvectors.json,"
        " commit 60fcb1e82b90b8cc331166eb783af2925f8ef809"
    ),
    "stix21/mvt": "github.com/mvt-project/mvt-indicators, commit e035f4fbdb8aedb46a27bcdd4b1c6179d22301ad",
    "stix21/amnesty": "github.com/AmnestyTech/investigations, commit 3d8f248a0d015f183724ae7d096a5c46a8bb5fc7",
    "stix21/oasis": "github.com/oasis-open/cti-stix2-json-schemas, commit 3bf9e69dc18dbbe995676c5dde027ead76e2b6fa",
    "stix21/stix4doge": "github.com/muchdogesec/stix4doge, commit e6bd8ea1eae2e41af86392682abfe433aac5918f",
    "stix21/attack": "github.com/mitre-attack/attack-stix-data, commit 7ad8a86f41edc91dd37de0487b0c2f44ae3a3af7",
    "stix20-legacy": "github.com/pan-unit42/playbook_viewer, commit 4cdeeb3378c7f2da1b7f2d93d8bc1d6582ef1100",
    "csaf/cisa": "github.com/cisagov/CSAF, commit 6960219fd4e67623d40d32b2869c4a1782965b80",
    "csaf/oasis": "github.com/oasis-tcs/csaf, commit 27af37f5c9a107abb166e855fa6505fc4ffaade8",
    "csaf/bsi-wid": "github.com/ISDuBA/ISDuBA, commit 2d814178cb3a24194f764e9556cd7e402bb0011a",
    "misp/eset-events": "github.com/eset/malware-ioc, commit f9c1102417f469167bcb40f24e14badeeaf9dc70",
    "misp/taxonomies": "github.com/MISP/misp-taxonomies, commit 7591c551cce82552b9b21773e05f4a50bccfdfac",
    "misp/warninglists": "github.com/MISP/misp-warninglists, commit 84f0610aaf3b32159285c9b85510d0f415ea6b27",
    "misp/galaxies": "github.com/MISP/misp-galaxy, commit 9434ace4eb925c9a1c9b3bccf014a25f9d14f0b0",
    "kev": "github.com/cisagov/kev-data, commit eacf03ec6637cc7be6d3d4ed50785493da5126a2",
    "sigma": "github.com/SigmaHQ/sigma, commit 8eaafff1f2845a696050e05e72ba1140ee190698",
    "ids": "github.com/josevnz/SuricataLog, github.com/OTRF/Security-Datasets (see SOURCES.md of the corpus)",
}


def _root(variable: str, folder: str) -> Path:
    pointed = os.environ.get(variable)
    return Path(pointed) if pointed else _BESIDE / folder


def _find(variable: str, folder: str, name: str) -> Path:
    path = _root(variable, folder) / name
    if not path.exists():
        source = next(
            (text for prefix, text in _SOURCES.items() if name.startswith(prefix)), "see tests/vectors/README.md"
        )
        pytest.skip(f"{name} is not here: get it from {source}, and point {variable} at its folder")
    return path


def vectors(name: str) -> Path:
    """A file or folder of test vectors, such as ``mls/tree-math.json``; skips the test where it is missing."""
    ours = _TESTS / "vectors" / name
    return ours if ours.exists() else _find("SECURECHAN_VECTORS", "vectors", name)


def data(name: str) -> Path:
    """A file or folder of sample bulletins, such as ``stix21``; skips the test where it is missing."""
    return _find("SECURECHAN_DATA", "data", name)


def load(name: str) -> Any:
    """The JSON of one file of vectors; skips the test where it is missing."""
    return json.loads(vectors(name).read_bytes())


def published(name: str) -> Path:
    """A file of the PyPI package ``cryptography-vectors``; skips the test where that isn't installed."""
    spec = util.find_spec("cryptography_vectors")
    if spec is None or spec.origin is None:
        pytest.skip("the package cryptography-vectors is not installed: pip install 'cryptography-vectors>=50,<51'")
    return Path(spec.origin).parent / name


def records(name: str) -> Iterator[dict[str, str]]:
    """The records of a NIST-style ``.rsp`` file of ``cryptography-vectors``; each begins with its count."""
    record: dict[str, str] = {}
    for line in published(name).read_text().splitlines():
        key, equals, value = (part.strip() for part in line.partition("="))
        if key == "count" and record:
            yield record
            record = {}
        if equals and not line.startswith("#"):
            record[key] = value
    yield record
