"""clients/render.py: a stranger's text does nothing to a terminal, and nothing in it can be clicked."""

from __future__ import annotations

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from clients.render import (
    defang,
    duration,
    file_name,
    pad,
    parse_duration,
    safe,
    shorten,
    size,
    stranger,
    table,
    when,
    width,
)


@given(st.text())
def test_nothing_invisible_is_left(text: str) -> None:
    for shown in (safe(text), stranger(text)):
        assert all(unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in shown)
    kept = safe(text, lines=True)
    assert all(c in "\n\t" or unicodedata.category(c) not in ("Cc", "Cf", "Cs", "Zl", "Zp") for c in kept)


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("\x1b[2Jgone", "\\u001b[2Jgone"),
        ("invoice\u202egpj.exe", "invoice\\u202egpj.exe"),
        ("a\u2066b\u2069", "a\\u2066b\\u2069"),
        ("a\r\nb\tc", "a b c"),
        ("a\rb", "a\\u000db"),
        ("\x9b31m", "\\u009b31m"),
        ("soft\u00adhyphen", "soft\\u00adhyphen"),
        ("\U000e0041", "\\U000e0041"),
        ("plain – Žiža 漢字", "plain – Žiža 漢字"),
    ],
)
def test_what_acts_is_shown_as_what_it_is(text: str, shown: str) -> None:
    assert safe(text) == shown


def test_lines_may_stay() -> None:
    assert safe("a\r\nb\tc", lines=True) == "a\nb\tc"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("http://evil.example/x", "hxxp://evil[.]example/x"),
        ("HTTPS://EVIL.EXAMPLE", "HxxPS://EVIL[.]EXAMPLE"),
        ("ftp://a.b.example.org/", "fxp://a[.]b[.]example[.]org/"),
        ("from 192.0.2.17:443", "from 192[.]0[.]2[.]17:443"),
        ("mail liaison@cert.example now", "mail liaison@cert[.]example now"),
        ("end of sentence. Next one", "end of sentence. Next one"),
        ("version 2.1 of section 3.4.5", "version 2.1 of section 3.4.5"),
        ("see report.pdf and data.json", "see report.pdf and data.json"),
        ("report.pdf.evil.example", "report[.]pdf[.]evil[.]example"),
        ("bücher.example", "bücher[.]example"),
        ("already evil[.]example", "already evil[.]example"),
        ("", ""),
    ],
)
def test_indicators_cannot_be_clicked(text: str, shown: str) -> None:
    assert defang(text) == shown


@given(st.from_regex(r"https?://[a-z]{1,8}(\.[a-z]{2,6}){1,3}(/[a-z.]{0,9})?", fullmatch=True))
def test_no_address_survives(url: str) -> None:
    shown = stranger(url)
    assert "http" not in shown
    host = url.split("/")[2]
    assert host not in shown


def test_tables_line_up_even_with_wide_letters() -> None:
    drawn = table([("漢字", "x"), ("a", "yy", "z")], head=("name", "b"))
    assert drawn.split("\n") == ["name  b", "漢字  x", "a     yy  z"]
    assert table([]) == ""


def test_widths() -> None:
    assert width("e\u0301漢") == 3
    assert pad("漢", 4) == "漢  "
    assert shorten("abcdef", 4) == "abc…"
    assert shorten("漢漢漢", 4) == "漢…"
    assert shorten("abcd", 4) == "abcd"


@pytest.mark.parametrize(
    ("seconds", "shown"),
    [
        (0, "0 s"),
        (59.9, "59 s"),
        (-60, "1 m"),
        (7800, "2 h 10 m"),
        (7200, "2 h"),
        (86399, "23 h"),
        (86400, "1 d"),
        (90000, "1 d 1 h"),
        (18 * 86400 + 5000, "18 d"),
    ],
)
def test_durations_for_people(seconds: float, shown: str) -> None:
    assert duration(seconds) == shown


@pytest.mark.parametrize(("count", "shown"), [(0, "0 B"), (1023, "1023 B"), (1229, "1.2 KiB"), (5 << 30, "5120.0 MiB")])
def test_sizes_for_people(count: int, shown: str) -> None:
    assert size(count) == shown


def test_times_are_rfc_3339_whatever_a_stranger_claims() -> None:
    assert when(1_800_000_000) == "2027-01-15T08:00:00Z"
    assert when(0) == "-"
    assert when(2**63) == "?"


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90", 90), ("45s", 45), ("30m", 1800), ("4h", 14400), ("2 d", 172800), ("1W", 604800)],
)
def test_lengths_of_time_as_people_type_them(text: str, seconds: int) -> None:
    assert parse_duration(text) == seconds


@pytest.mark.parametrize("text", ["", "h", "-4h", "4 hours", "1e9", "99999999999d", "٤h4"])
def test_other_lengths_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match="length of time"):
        parse_duration(text)


@pytest.mark.parametrize(
    ("said", "written"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("..\\..\\run.exe", "run.exe"),
        ("-", ""),
        ("..", ""),
        (".bash_login", "bash_login"),
        ("--output=x", "output=x"),
        ("a\x1b[2J\n\u202eb", "a[2Jb"),
        ("r\N{LATIN SMALL LETTER E WITH ACUTE}sum\N{LATIN SMALL LETTER E WITH ACUTE}.txt", "r\u00e9sum\u00e9.txt"),
        ("x" * 255 + ".json", "x" * 115 + ".json"),
        ("y" * 255, "y" * 120),
    ],
)
def test_a_strangers_file_name_stays_where_it_is_put(said: str, written: str) -> None:
    assert file_name(said) == written
