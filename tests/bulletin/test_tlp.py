"""TLP 2.0: every label from every notation, and each rule of publishing and forwarding."""

from __future__ import annotations

import json

import pytest

from securechan.bulletin import tlp
from securechan.bulletin.tlp import Audience, Tlp, at_least, may_forward, may_publish
from securechan.errors import Denied, Unfit

OWN, CLIENT, ALLY, STRANGER = "cert-hr", "city-hr", "cert-si", "outsider"


def audience(*agencies: str, officers: bool = False, name: str = "observers") -> Audience:
    return Audience(
        name=name,
        agencies=frozenset(agencies),
        own=OWN,
        officers_named=officers,
        clients=frozenset({CLIENT}),
        federation=frozenset({OWN, CLIENT, ALLY}),
    )


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("clear", Tlp.CLEAR),
        ("WHITE", Tlp.CLEAR),
        ("TLP:WHITE", Tlp.CLEAR),
        ("tlp:green", Tlp.GREEN),
        ("TLP: AMBER", Tlp.AMBER),
        ("amber+strict", Tlp.AMBER_STRICT),
        ("TLP:AMBER+STRICT", Tlp.AMBER_STRICT),
        ("amber-strict", Tlp.AMBER_STRICT),
        ("TLP-RED", Tlp.RED),
    ],
)
def test_people_write_labels_in_many_ways(text: str, label: Tlp) -> None:
    assert tlp.parse(text) is label


@pytest.mark.parametrize("text", ["", "tlp", "orange", "TLP:", "red!", "amber+very", "\x1b[31mred"])
def test_what_is_no_label_is_refused_with_the_list_of_labels(text: str) -> None:
    with pytest.raises(Unfit) as caught:
        tlp.parse(text)
    assert "amber+strict" in caught.value.hint
    assert "\x1b" not in caught.value.message


def test_labels_are_ordered_by_strictness_and_written_as_people_do() -> None:
    assert sorted(Tlp, reverse=True) == [Tlp.RED, Tlp.AMBER_STRICT, Tlp.AMBER, Tlp.GREEN, Tlp.CLEAR]
    assert str(Tlp.AMBER_STRICT) == "tlp:amber+strict"
    assert [tlp.parse(label.word) for label in Tlp] == list(Tlp)


# ---------------------------------------------------------------------------------------------------- in the content

RED_1 = "marking-definition--5e57c739-391a-4eb3-b6be-7d15ca92d5ed"
STRICT_2 = "marking-definition--939a9414-2ddd-4d32-a0cd-375ea402b003"
OWN_ID = "marking-definition--11111111-1111-4111-8111-111111111111"


def test_a_marking_of_the_standard_counts_by_its_id_alone() -> None:
    assert tlp.of_stix([{"type": "tool", "object_marking_refs": [STRICT_2]}]) is Tlp.AMBER_STRICT
    assert tlp.of_stix([{"type": "tool", "object_marking_refs": [RED_1]}]) is Tlp.RED


@pytest.mark.parametrize(("identifier", "label"), sorted(tlp.STIX_MARKINGS.items()))
def test_all_nine_ids_of_the_standards_are_known(identifier: str, label: Tlp) -> None:
    assert tlp.of_stix([{"object_marking_refs": [identifier]}]) is label


def test_a_granular_marking_counts_like_one_of_the_object() -> None:
    marked = {"type": "tool", "granular_markings": [{"marking_ref": RED_1, "selectors": ["description"]}]}
    assert tlp.of_stix([{"type": "tool"}, marked]) is Tlp.RED


def test_a_marking_counts_where_it_is_referred_to_not_where_it_is_defined() -> None:
    definition = {"type": "marking-definition", "id": OWN_ID, "definition_type": "tlp", "definition": {"tlp": "red"}}
    assert tlp.of_stix([definition]) is None
    assert tlp.of_stix([{"object_marking_refs": [OWN_ID]}, definition]) is Tlp.RED


def test_the_extension_of_tlp_2_is_read() -> None:
    marking = {
        "type": "marking-definition",
        "id": OWN_ID,
        "extensions": {"extension-definition--60a3c5c5-0d10-413e-aab3-9e08dde9e88d": {"tlp_2_0": "amber+strict"}},
    }
    assert tlp.of_marking(marking) is Tlp.AMBER_STRICT


def test_a_standard_id_redefined_as_milder_stays_as_strict_as_the_standard() -> None:
    forged = {"type": "marking-definition", "id": RED_1, "definition_type": "tlp", "definition": {"tlp": "white"}}
    assert tlp.of_stix([forged, {"object_marking_refs": [RED_1]}]) is Tlp.RED


@pytest.mark.parametrize(
    "marking",
    [
        {
            "type": "marking-definition",
            "id": OWN_ID,
            "definition_type": "statement",
            "definition": {"statement": "red"},
        },
        {"type": "marking-definition", "id": OWN_ID, "definition_type": "statement", "definition": {"tlp": "red"}},
        {"type": "marking-definition", "id": OWN_ID, "name": "TLP:RED"},
        {"type": "marking-definition", "id": OWN_ID, "extensions": {"other": {"tlp_2_0": "red"}}},
        "red",
        None,
    ],
)
def test_other_markings_are_not_tlp(marking: object) -> None:
    assert tlp.of_marking(json.loads(json.dumps(marking))) is None


@pytest.mark.parametrize(
    ("word", "label"),
    [("WHITE", Tlp.CLEAR), ("CLEAR", Tlp.CLEAR), ("GREEN", Tlp.GREEN), ("AMBER+STRICT", Tlp.AMBER_STRICT), ("X", None)],
)
def test_csaf_says_it_in_distribution(word: str, label: Tlp | None) -> None:
    assert tlp.of_csaf({"document": {"distribution": {"tlp": {"label": word}}}}) is label


@pytest.mark.parametrize("document", [None, [], {}, {"document": []}, {"document": {"distribution": {"tlp": "RED"}}}])
def test_csaf_without_a_label_has_none(document: object) -> None:
    assert tlp.of_csaf(json.loads(json.dumps(document))) is None


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("TLP:AMBER\nhello", Tlp.AMBER),
        ("hello\n[TLP:AMBER+STRICT] x\nTLP:GREEN", Tlp.AMBER_STRICT),
        ("** tlp: red **", Tlp.RED),
        ("** TLP : AMBER + STRICT **", Tlp.AMBER_STRICT),
        ("do not mistake this for TLP:RED", None),
        ("TLP:PURPLE", None),
        ("tlp", None),
    ],
)
def test_a_text_is_marked_by_a_line_that_begins_with_its_label(text: str, label: Tlp | None) -> None:
    assert tlp.of_text(text) is label


# --------------------------------------------------------------------------------------------------------- the rules


def test_a_label_is_at_least_what_the_content_says() -> None:
    at_least(Tlp.AMBER, None)
    at_least(Tlp.AMBER, Tlp.AMBER)
    at_least(Tlp.RED, Tlp.AMBER)
    with pytest.raises(Denied) as caught:
        at_least(Tlp.GREEN, Tlp.AMBER_STRICT, what="SC-1")
    assert caught.value.message == "SC-1 would be tlp:green, but its content is marked tlp:amber+strict"
    assert "--tlp amber+strict" in caught.value.hint


@pytest.mark.parametrize("label", list(Tlp))
@pytest.mark.parametrize("ceiling", list(Tlp))
def test_publishing_stops_at_the_ceiling(label: Tlp, ceiling: Tlp) -> None:
    if label <= ceiling:
        may_publish(label, ceiling, audience(ALLY, officers=True))
    else:
        with pytest.raises(Denied, match="takes at most"):
            may_publish(label, ceiling, audience(ALLY, officers=True))


def test_red_is_for_named_officers_only() -> None:
    may_publish(Tlp.RED, Tlp.RED, audience(ALLY, officers=True))
    with pytest.raises(Denied, match="named people") as caught:
        may_publish(Tlp.RED, Tlp.RED, audience(ALLY))
    assert caught.value.hint


REACH = {  # label → the agencies it may be forwarded to
    Tlp.CLEAR: {OWN, CLIENT, ALLY, STRANGER},
    Tlp.GREEN: {OWN, CLIENT, ALLY},
    Tlp.AMBER: {OWN, CLIENT},
    Tlp.AMBER_STRICT: {OWN},
    Tlp.RED: set(),
}


@pytest.mark.parametrize("agency", [OWN, CLIENT, ALLY, STRANGER])
@pytest.mark.parametrize("label", list(Tlp))
def test_forwarding_reaches_exactly_as_far_as_the_label(label: Tlp, agency: str) -> None:
    who = audience(OWN, agency, officers=True)
    if agency in REACH[label]:
        may_forward(label, "cert-fr", who)
    else:
        with pytest.raises(Denied) as caught:
            may_forward(label, "cert-fr", who)
        assert "cert-fr" in caught.value.hint
        assert caught.value.code == "tlp-denied"


def test_the_refusal_speaks_like_the_command_line() -> None:
    with pytest.raises(Denied) as caught:
        may_forward(Tlp.AMBER_STRICT, "cert-fr", audience(OWN, ALLY, CLIENT, STRANGER), what="SC-2026-0094")
    assert caught.value.message == (
        "SC-2026-0094 by cert-fr is tlp:amber+strict: it may not leave your agency,"
        " and observers has members of cert-si, city-hr, outsider"
    )
    assert caught.value.hint == "ask cert-fr for its signed consent, or share it inside your agency"


def test_what_my_agency_issued_is_published_not_forwarded() -> None:
    may_forward(Tlp.AMBER_STRICT, OWN, audience(OWN, ALLY, STRANGER))
    with pytest.raises(Denied, match="takes at most"):
        may_forward(Tlp.AMBER, OWN, audience(OWN, ALLY), ceiling=Tlp.GREEN)


def test_consent_widens_the_circle_but_not_the_room() -> None:
    may_forward(Tlp.AMBER_STRICT, "cert-fr", audience(OWN, STRANGER), consent=True)
    may_forward(Tlp.RED, "cert-fr", audience(ALLY, officers=True), consent=True)
    with pytest.raises(Denied, match="named people"):
        may_forward(Tlp.RED, "cert-fr", audience(ALLY), consent=True)
    with pytest.raises(Denied, match="takes at most"):
        may_forward(Tlp.AMBER, "cert-fr", audience(ALLY), consent=True, ceiling=Tlp.GREEN)


def test_red_is_never_forwarded_not_even_inside_my_agency() -> None:
    with pytest.raises(Denied, match="may not be forwarded at all"):
        may_forward(Tlp.RED, "cert-fr", audience(OWN, officers=True))
