"""Each fuzz target still fits its door: its seeds are taken, and a few hundred altered ones are refused as documented.

This keeps the targets from rotting between two runs of ``make fuzz``; to find something new is that run's part.
"""

from __future__ import annotations

import time
from pathlib import Path
from random import Random

import pytest

from securechan.codec import U16, Opaque, Struct
from securechan.errors import Invalid, Malformed, Misuse
from tests.fuzz.mutation import damaged, of_json, of_struct, plain
from tests.fuzz.target import Target, canonical, make, names, refused, target
from tests.fuzz.worker import LONGEST, Report, Watch, place

CPU = 0.1  # seconds for each target
NAMES = names()


def test_every_area_has_its_targets() -> None:
    assert len(NAMES) > 50
    assert {name.partition(".")[0] for name in NAMES} == {
        "codec", "mls", "insider", "wire", "agent", "trust", "bulletin", "clients", "relay",
    }  # fmt: skip
    with pytest.raises(ValueError, match="two targets"):
        target(NAMES[0])(lambda: Target(len, (b"",)))


@pytest.mark.parametrize("name", NAMES)
def test_seeds_are_taken_and_altered_ones_refused_as_documented(name: str) -> None:
    door, random = make(name), Random(1)
    assert 0 < max(map(len, door.seeds)) <= LONGEST
    end = time.process_time() + CPU
    for number, seed in enumerate(door.seeds):
        door.run(seed)
        if number and time.process_time() > end:
            break
    while time.process_time() < end:
        door.run(plain(door.seeds, door.form, random))
    if door.form is not None:
        for short in (b"", b"\0", b"\1", b"\2", b"\3\0"):  # a fuzzer cuts down to nothing, and forms must bear it
            door.form(short, random)


# --------------------------------------------------------------------------------------------- the fuzzer's own parts


class Pair(Struct):
    number: U16
    words: Opaque


def test_what_escapes_is_found_once_and_cut_down(tmp_path: Path) -> None:
    def door(data: bytes) -> None:
        with refused(Malformed, Invalid):
            if b"!" in data:
                raise Misuse("ours")
            raise Malformed("theirs")

    report = Report("test.door")
    watch = Watch(door, report, tmp_path / "report", tmp_path / "findings")
    for data in (b"fine", b"long before it ! and after", b"!!", b"again !"):
        watch(data)
    assert report.executions == 4
    (found,) = report.findings.values()
    assert found["error"].rstrip().endswith("Misuse: ours")
    assert (tmp_path / "findings" / found["input"]).read_bytes() == b"!"
    assert "Misuse" in (tmp_path / "report").read_text()


def test_one_fault_has_one_place() -> None:
    def faults(text: bytes) -> str:
        with pytest.raises(Malformed) as caught:
            Pair.decode(text)
        return place(caught.value)

    assert faults(b"") == faults(b"\0") != faults(Pair(7, b"x").encode() + b"\0")
    assert faults(b"").startswith("Malformed at securechan/codec.py:")


def test_two_forms_of_one_value_are_told() -> None:
    class Loose(Pair):
        @classmethod
        def decode(cls, data: bytes) -> Loose:
            return super().decode(data.rstrip(b" "))

    good = Loose(7, b"x").encode()
    assert canonical(Loose, good) == Loose(7, b"x")
    assert canonical(Loose, b"") is None
    with pytest.raises(AssertionError, match="two forms"):
        canonical(Loose, good + b" ")


def test_alterations_keep_the_form_and_reach_every_field() -> None:
    random, wire = Random(5), Pair(7, b"words").encode()
    altered = [of_struct(Pair)(wire, random) for _ in range(300)]
    values = [Pair.decode(each) for each in altered]
    assert {value.number for value in values} >= {0, 8, 65535}
    assert len({value.words for value in values}) > 50
    assert of_struct(Pair)(b"no pair at all", random) != b"no pair at all"
    documents = {of_json(b'{"a":[1,{"b":"c"}]}', random) for _ in range(300)}
    assert len(documents) > 50
    assert {damaged(b"bytes", Random(seed)) for seed in range(50)} != {b"bytes"}
