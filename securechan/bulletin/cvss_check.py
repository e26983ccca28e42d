"""CVSS objects in advisories: well-formed, rightly computed, and saying in words what their vector says.

One table a version names every metric once: its JSON property, its letter in the vector, and its values in both forms.
From it come the structure (CSAF test 6.1.8), and the comparison of words and vector (6.1.10). The scores (6.1.9) are
computed by the `cvss` package. Sources: FIRST's CVSS 2, 3.0, 3.1 and 4.0 specifications and their JSON representations.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from securechan.bulletin.findings import Findings, Json, Place, quote
from securechan.bulletin.shape import Anything, Choice, Number, Record, Shape, Text

_REQUIREMENT: Final = "L:LOW M:MEDIUM H:HIGH {}:NOT_DEFINED"

_V2: Final = {
    "accessVector": "AV L:LOCAL A:ADJACENT_NETWORK N:NETWORK",
    "accessComplexity": "AC H:HIGH M:MEDIUM L:LOW",
    "authentication": "Au M:MULTIPLE S:SINGLE N:NONE",
    "confidentialityImpact": "C N:NONE P:PARTIAL C:COMPLETE",
    "integrityImpact": "I N:NONE P:PARTIAL C:COMPLETE",
    "availabilityImpact": "A N:NONE P:PARTIAL C:COMPLETE",
    "exploitability": "E U:UNPROVEN POC:PROOF_OF_CONCEPT F:FUNCTIONAL H:HIGH ND:NOT_DEFINED",
    "remediationLevel": "RL OF:OFFICIAL_FIX TF:TEMPORARY_FIX W:WORKAROUND U:UNAVAILABLE ND:NOT_DEFINED",
    "reportConfidence": "RC UC:UNCONFIRMED UR:UNCORROBORATED C:CONFIRMED ND:NOT_DEFINED",
    "collateralDamagePotential": "CDP N:NONE L:LOW LM:LOW_MEDIUM MH:MEDIUM_HIGH H:HIGH ND:NOT_DEFINED",
    "targetDistribution": "TD N:NONE L:LOW M:MEDIUM H:HIGH ND:NOT_DEFINED",
    "confidentialityRequirement": "CR " + _REQUIREMENT.format("ND"),
    "integrityRequirement": "IR " + _REQUIREMENT.format("ND"),
    "availabilityRequirement": "AR " + _REQUIREMENT.format("ND"),
}

_V3_BASE: Final = {
    "attackVector": "AV N:NETWORK A:ADJACENT_NETWORK L:LOCAL P:PHYSICAL",
    "attackComplexity": "AC L:LOW H:HIGH",
    "privilegesRequired": "PR N:NONE L:LOW H:HIGH",
    "userInteraction": "UI N:NONE R:REQUIRED",
    "scope": "S U:UNCHANGED C:CHANGED",
    "confidentialityImpact": "C N:NONE L:LOW H:HIGH",
    "integrityImpact": "I N:NONE L:LOW H:HIGH",
    "availabilityImpact": "A N:NONE L:LOW H:HIGH",
}
_V4_BASE: Final = {
    "attackVector": "AV N:NETWORK A:ADJACENT L:LOCAL P:PHYSICAL",
    "attackComplexity": "AC L:LOW H:HIGH",
    "attackRequirements": "AT N:NONE P:PRESENT",
    "privilegesRequired": "PR N:NONE L:LOW H:HIGH",
    "userInteraction": "UI N:NONE P:PASSIVE A:ACTIVE",
    "vulnConfidentialityImpact": "VC H:HIGH L:LOW N:NONE",
    "vulnIntegrityImpact": "VI H:HIGH L:LOW N:NONE",
    "vulnAvailabilityImpact": "VA H:HIGH L:LOW N:NONE",
}


def _modified(base: Mapping[str, str]) -> dict[str, str]:
    """Every base metric has a modified form, which may also be not defined."""
    return {f"modified{name[0].upper()}{name[1:]}": f"M{line} X:NOT_DEFINED" for name, line in base.items()}


_V3: Final = {
    **_V3_BASE,
    "exploitCodeMaturity": "E U:UNPROVEN P:PROOF_OF_CONCEPT F:FUNCTIONAL H:HIGH X:NOT_DEFINED",
    "remediationLevel": "RL O:OFFICIAL_FIX T:TEMPORARY_FIX W:WORKAROUND U:UNAVAILABLE X:NOT_DEFINED",
    "reportConfidence": "RC U:UNKNOWN R:REASONABLE C:CONFIRMED X:NOT_DEFINED",
    "confidentialityRequirement": "CR " + _REQUIREMENT.format("X"),
    "integrityRequirement": "IR " + _REQUIREMENT.format("X"),
    "availabilityRequirement": "AR " + _REQUIREMENT.format("X"),
    **_modified(_V3_BASE),
}

_V4: Final = {
    **_V4_BASE,
    "subConfidentialityImpact": "SC H:HIGH L:LOW N:NONE",
    "subIntegrityImpact": "SI H:HIGH L:LOW N:NONE",
    "subAvailabilityImpact": "SA H:HIGH L:LOW N:NONE",
    "exploitMaturity": "E U:UNREPORTED P:PROOF_OF_CONCEPT A:ATTACKED X:NOT_DEFINED",
    "confidentialityRequirement": "CR " + _REQUIREMENT.format("X"),
    "integrityRequirement": "IR " + _REQUIREMENT.format("X"),
    "availabilityRequirement": "AR " + _REQUIREMENT.format("X"),
    **_modified(_V4_BASE),
    "modifiedSubConfidentialityImpact": "MSC N:NEGLIGIBLE L:LOW H:HIGH X:NOT_DEFINED",
    "modifiedSubIntegrityImpact": "MSI N:NEGLIGIBLE L:LOW H:HIGH S:SAFETY X:NOT_DEFINED",
    "modifiedSubAvailabilityImpact": "MSA N:NEGLIGIBLE L:LOW H:HIGH S:SAFETY X:NOT_DEFINED",
    "Safety": "S N:NEGLIGIBLE P:PRESENT X:NOT_DEFINED",
    "Automatable": "AU N:NO Y:YES X:NOT_DEFINED",
    "Recovery": "R A:AUTOMATIC U:USER I:IRRECOVERABLE X:NOT_DEFINED",
    "valueDensity": "V D:DIFFUSE C:CONCENTRATED X:NOT_DEFINED",
    "vulnerabilityResponseEffort": "RE L:LOW M:MODERATE H:HIGH X:NOT_DEFINED",
    "providerUrgency": "U Clear:CLEAR Green:GREEN Amber:AMBER Red:RED X:NOT_DEFINED",
}


@dataclass(frozen=True, slots=True)
class _Version:
    """One version of CVSS, compiled from its table."""

    name: str
    prefix: str  # what a vector begins with
    words: Mapping[str, Mapping[str, str]]  # letter → value's letter → word
    letter: Mapping[str, str]  # JSON property → letter
    undefined: str  # the letter of "not defined"
    scores: tuple[tuple[str, str], ...]  # properties of score and severity, in the order in which they are computed
    record: Record


_SEVERITIES: Final = Choice(frozenset({"NONE", "LOW", "MEDIUM", "HIGH", "CRITICAL"}))
_SCORES_V3: Final = (
    ("baseScore", "baseSeverity"),
    ("temporalScore", "temporalSeverity"),
    ("environmentalScore", "environmentalSeverity"),
)


def _compile(name: str, prefix: str, table: Mapping[str, str], undefined: str) -> _Version:
    words: dict[str, dict[str, str]] = {}
    letter: dict[str, str] = {}
    fields: dict[str, Shape] = {"version": Choice(frozenset({name})), "vectorString": Text("a vector")}
    for prop, line in table.items():
        first, *values = line.split()
        letter[prop] = first
        words[first] = dict(value.split(":") for value in values)
        fields[prop] = Choice(frozenset(words[first].values()))
    scores = _SCORES_V3[:1] if name == "4.0" else _SCORES_V3
    for score, severity in scores:
        fields[score] = Number(0, 10)
        if name != "2.0":
            fields[severity] = _SEVERITIES
    required = ("version", "vectorString", "baseScore", *(() if name == "2.0" else ("baseSeverity",)))
    extra = None if name == "4.0" else Anything()
    return _Version(name, prefix, words, letter, undefined, scores, Record(fields, required, extra=extra))


@functools.cache
def _versions() -> dict[str, _Version]:
    return {
        "2.0": _compile("2.0", "", _V2, "ND"),
        "3.0": _compile("3.0", "CVSS:3.0", _V3, "X"),
        "3.1": _compile("3.1", "CVSS:3.1", _V3, "X"),
        "4.0": _compile("4.0", "CVSS:4.0", _V4, "X"),
    }


_BY_PROPERTY: Final = {"cvss_v2": ("2.0",), "cvss_v3": ("3.0", "3.1"), "cvss_v4": ("4.0",)}


def check(name: str, value: Json, place: Place, found: Findings) -> None:
    """Judge the object that stands under ``cvss_v2``, ``cvss_v3`` or ``cvss_v4``, by tests 6.1.8, 6.1.9 and 6.1.10."""
    stated = value.get("version") if isinstance(value, dict) else None
    allowed = _BY_PROPERTY[name]
    version = _versions()[stated if isinstance(stated, str) and stated in allowed else allowed[-1]]
    with found.rule("6.1.8"):
        if isinstance(stated, str) and stated not in allowed:
            found.add((place, "version"), f"{quote(stated)} is not one of {', '.join(allowed)}")
            return
        before = len(found.items)
        version.record.check(value, place, found)
        if len(found.items) > before or not isinstance(value, dict):
            return
        vector = str(value["vectorString"])
        metrics = _read_vector(vector, version)
        computed = None if isinstance(metrics, str) else _compute(vector, version)
        if isinstance(metrics, str) or isinstance(computed, str) or computed is None:
            found.add(
                (place, "vectorString"), f"{quote(vector)} is not a CVSS {version.name} vector: {metrics or computed}"
            )
            return
    with found.rule("6.1.9"):
        _compare_scores(value, version, computed, place, found)
    with found.rule("6.1.10"):
        for prop, letter in version.letter.items():
            if prop not in value:
                continue
            says = version.words[letter][metrics.get(letter, version.undefined)] if letter in metrics else "NOT_DEFINED"
            if value[prop] != says:
                found.add((place, prop), f"{value[prop]} contradicts the vector, which says {says}")


def _read_vector(vector: str, version: _Version) -> dict[str, str] | str:
    """Metric letters and their values, or what is wrong with the vector."""
    parts = vector.split("/")
    if version.prefix and parts.pop(0) != version.prefix:
        return f"it must begin with {version.prefix}/"
    metrics: dict[str, str] = {}
    for part in parts:
        letter, _, value = part.partition(":")
        if value not in version.words.get(letter, {}):
            return f"{quote(part)} is not a metric"
        if letter in metrics:
            return f"{letter} stands twice"
        metrics[letter] = value
    return metrics


Computed = tuple[tuple[float | None, str | None], ...]


def _compute(vector: str, version: _Version) -> Computed | str:
    """Scores and severities by the standard's formulas; text where the vector lacks a mandatory metric."""
    import cvss  # noqa: PLC0415 - only advisories with scores pay for it

    maker: Any = {"2.0": cvss.CVSS2, "4.0": cvss.CVSS4}.get(version.name, cvss.CVSS3)
    try:
        made = maker(vector)
    except cvss.exceptions.CVSSError as error:
        return quote(str(error))
    if version.name == "4.0":
        return ((float(made.base_score), str(made.severity).upper()),)
    numbers = tuple(None if score is None else float(score) for score in made.scores())
    if version.name == "2.0":
        return tuple((number, None) for number in numbers)
    return tuple(zip(numbers, (str(word).upper() for word in made.severities()), strict=True))


def _compare_scores(
    value: dict[str, Json], version: _Version, computed: Computed, place: Place, found: Findings
) -> None:
    for (score, severity), (number, word) in zip(version.scores, computed, strict=True):
        stated = value.get(score)
        if isinstance(stated, (int, float)) and number is not None and abs(stated - number) > 1e-6:
            found.add((place, score), f"{stated} is not what the vector gives: {number}")
        label = value.get(severity)
        if isinstance(label, str) and word is not None and label != word:
            found.add((place, severity), f"{label} is not what the vector gives: {word}")
