"""clients/vault.py: all or nothing, nothing readable, nothing exchanged unnoticed."""

from __future__ import annotations

import contextlib
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from clients.vault import Put, Vault
from clients.vaultfile import read_header
from securechan.errors import CannotOpen, Misuse, NotFound, NotReady
from tests.clients.vaults import CHEAP, PASS, fill, raw, reopened

# ------------------------------------------------------------------------------------------------- what is adopted


def test_what_was_adopted_is_there_after_opening_again(vault: Vault, path: Path) -> None:
    assert vault.adopt([Put("group", "a", b"1"), Put("group", "b", b"2"), Put("outbox", "x", b"3")]) == 1
    assert vault.adopt([Put("group", "a", b"11"), Put("group", "b", None)]) == 2
    vault.close()
    with Vault.open(path, PASS) as again:
        assert again.generation == 2
        assert again.all("group") == {"a": b"11"}
        assert again.get("outbox", "x") == b"3"
        assert again.get("outbox", "y") is None
        assert again.tables() == {"group": 1, "outbox": 1}
        assert again.check() == {"group": 1, "outbox": 1}


def test_a_new_vault_may_begin_with_something_in_it(path: Path) -> None:
    with Vault.create(path, PASS, writes=[Put("t", "a", b"1")], cost=CHEAP) as made:
        assert made.check() == {"t": 1}
        assert made.adopt([Put("t", "b", b"2")]) == 2
    with reopened(path) as again:
        assert again.all("t") == {"a": b"1", "b": b"2"}


def test_of_several_changes_to_one_record_the_last_holds(vault: Vault) -> None:
    vault.adopt([Put("t", "a", b"1"), Put("t", "a", None), Put("t", "a", b"3")])
    assert vault.all("t") == {"a": b"3"}
    vault.adopt([Put("t", "a", b"4"), Put("t", "a", None)])
    assert vault.all("t") == {}
    vault.check()


def test_nothing_to_adopt_is_no_transaction(vault: Vault) -> None:
    assert vault.adopt([]) == 0


def test_removing_what_is_not_there_is_no_fault(vault: Vault) -> None:
    vault.adopt([Put("t", "never", None)])
    assert vault.check() == {}


def test_an_empty_value_is_a_value(vault: Vault) -> None:
    vault.adopt([Put("t", "", b"")])
    assert vault.all("t") == {"": b""}


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(
    st.lists(
        st.lists(
            st.tuples(st.sampled_from("tu"), st.sampled_from("abc"), st.none() | st.binary(max_size=64)), max_size=6
        ),
        max_size=6,
    )
)
def test_it_agrees_with_a_plain_dictionary(vault: Vault, batches: list[list[tuple[str, str, bytes | None]]]) -> None:
    vault.adopt([Put(t, i, None) for t in "tu" for i in "abc"])
    model: dict[tuple[str, str], bytes] = {}
    for batch in batches:
        vault.adopt([Put(*line) for line in batch])
        for t, i, value in batch:
            if value is None:
                model.pop((t, i), None)
            else:
                model[t, i] = value
    for t in "tu":
        assert vault.all(t) == {i: v for (u, i), v in model.items() if u == t}
    vault.check()


def test_threads_take_turns(vault: Vault) -> None:
    def work(name: str) -> None:
        for n in range(20):
            vault.adopt([Put("t", f"{name}{n}", b"x")])

    threads = [threading.Thread(target=work, args=(name,)) for name in "abc"]
    for t in threads:
        t.start()
    for t in threads:
        t.join()
    assert vault.check() == {"t": 60}
    assert vault.generation == 60


# ------------------------------------------------------------------------------------------------------------ ranges


def test_a_shelf_is_read_in_pieces_in_either_direction(vault: Vault) -> None:
    vault.adopt([Put("archive", f"c1/{n:03}", bytes([n])) for n in range(10)])
    vault.adopt([Put("archive", f"c2/{n:03}", b"other") for n in range(5)])
    vault.adopt([Put("archive", "c1/003", b"changed")])
    first = vault.range("archive", "c1", limit=4)
    assert [i for i, _ in first] == ["c1/000", "c1/001", "c1/002", "c1/003"]
    assert first[3][1] == b"changed"
    rest = vault.range("archive", "c1", after="c1/003", limit=100)
    assert [i for i, _ in rest] == [f"c1/{n:03}" for n in range(4, 10)]
    assert [i for i, _ in vault.range("archive", "c1", newest=True, limit=2)] == ["c1/009", "c1/008"]
    assert [i for i, _ in vault.range("archive", "c1", newest=True, after="c1/001")] == ["c1/000"]
    assert vault.range("archive", "c3") == []
    assert vault.range("archive") == []  # nothing stands outside a shelf here


def test_a_range_after_nothing_says_so(vault: Vault) -> None:
    with pytest.raises(NotFound):
        vault.range("archive", "c", after="c/1")
    with pytest.raises(Misuse):
        vault.range("archive", "c", limit=0)


# --------------------------------------------------------------------------------------- what the file gives away


def test_the_file_shows_neither_names_nor_content_and_is_nobody_elses(vault: Vault, path: Path) -> None:
    vault.adopt([Put("conversation", "liaison-1@cert-hr/1", b"attack at dawn")])
    everything = b"".join(p.read_bytes() for p in path.parent.iterdir())
    for word in (b"conversation", b"liaison", b"cert-hr", b"dawn"):
        assert word not in everything
    for p in path.parent.iterdir():
        assert p.stat().st_mode & 0o077 == 0, p
    assert path.parent.stat().st_mode & 0o077 == 0


def test_what_was_removed_is_overwritten(vault: Vault, path: Path) -> None:
    vault.adopt([Put("t", "a", bytes(3000))])
    ((sealed,),) = raw(path, "SELECT sealed FROM record")
    assert isinstance(sealed, bytes)
    vault.adopt([Put("t", "a", None)])
    vault.close()
    everything = b"".join(p.read_bytes() for p in path.parent.iterdir())
    assert not any(sealed[n : n + 64] in everything for n in range(0, len(sealed) - 64, 64))


def test_it_does_not_show_its_keys(vault: Vault) -> None:
    assert vault._key.hex() not in repr(vault)


# ------------------------------------------------------------------------------------------ what an attacker changes


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("UPDATE record SET sealed = zeroblob(length(sealed)) WHERE place = 1", "altered"),
        ("UPDATE record SET nonce = zeroblob(12) WHERE place = 1", "altered"),
        ("UPDATE record SET version = 7 WHERE place = 1", "altered"),
        ("UPDATE record SET version = -7 WHERE place = 1", "wrong kind"),
        ("UPDATE record SET sealed = 'text' WHERE place = 1", "wrong kind"),
        ("UPDATE record SET nonce = x'00' WHERE place = 1", "wrong kind"),
        ("UPDATE record SET place = 9 WHERE place = 1", "altered"),
        ("DELETE FROM record WHERE place = 1", "holds 1 records where 2"),
        (
            "INSERT INTO record SELECT 9, tbl, zeroblob(16), shelf, version, nonce, sealed FROM record WHERE place = 1",
            "altered",
        ),
        (
            """UPDATE record SET (version, nonce, sealed) =
                (SELECT version, nonce, sealed FROM record WHERE place = 2) WHERE place = 1""",
            "altered",
        ),
    ],
)
def test_a_changed_row_is_noticed_when_its_table_is_read(vault: Vault, path: Path, sql: str, said: str) -> None:
    fill(vault)
    vault.close()
    raw(path, sql)
    with reopened(path) as again:
        with pytest.raises(CannotOpen, match=said) as e:
            again.all("t")
        assert e.value.code == "vault-corrupt"
        with pytest.raises(CannotOpen, match=said):
            again.check()
        assert again.all("u") == {"a": b"third"}


def test_an_older_form_of_one_record_put_back_is_noticed(vault: Vault, path: Path) -> None:
    fill(vault)
    ((old,),) = raw(path, "SELECT hex(version) || ' ' || hex(nonce) || ' ' || hex(sealed) FROM record WHERE place = 1")
    vault.adopt([Put("t", "a", b"newer")])
    vault.close()
    version, nonce, sealed = (bytes.fromhex(x) for x in str(old).split())
    raw(path, "UPDATE record SET version = ?, nonce = ?, sealed = ? WHERE place = 1", int(version), nonce, sealed)
    with reopened(path) as again, pytest.raises(CannotOpen, match="older form"):
        again.all("t")


def test_a_record_on_the_wrong_shelf_is_noticed_by_the_check(vault: Vault, path: Path) -> None:
    vault.adopt([Put("archive", "c1/1", b"x")])
    raw(path, "UPDATE record SET shelf = zeroblob(16)")
    with pytest.raises(CannotOpen, match="shelf"):
        vault.check()


def test_records_of_an_unknown_table_are_noticed(vault: Vault, path: Path) -> None:
    fill(vault)
    raw(path, "UPDATE record SET tbl = zeroblob(16) WHERE place = 1")
    with pytest.raises(CannotOpen, match="does not know"):
        vault.check()


@pytest.mark.parametrize("table", ["manifest", "header"])
def test_a_missing_or_altered_manifest_or_header_is_noticed(vault: Vault, path: Path, table: str) -> None:
    fill(vault)
    vault.close()
    ((good,),) = raw(path, f"SELECT value FROM {table}")
    assert isinstance(good, bytes)
    for bad in (good[:-1] + bytes([good[-1] ^ 1]), good[:10], b"", None, "text"):
        raw(path, f"DELETE FROM {table}")
        if bad is not None:
            raw(path, f"INSERT INTO {table} VALUES (1, ?)", bad)
        with pytest.raises(CannotOpen) as e:
            reopened(path)
        assert e.value.code == "vault-corrupt"


def test_tables_that_even_sqlite_cannot_name_are_damage(vault: Vault, path: Path) -> None:
    """SQLite quotes the name in its complaint, and it isn't UTF-8."""
    vault.close()
    whole = path.read_bytes()
    at = whole.index(b"CREATE TABLE header")
    path.write_bytes(whole[:at] + b"\xa0" + whole[at + 1 :].replace(b"header", b"h\xa0ad\xffr", 1))
    with pytest.raises(CannotOpen) as e:
        Vault.open(path, PASS)
    assert e.value.code == "vault-corrupt"


def test_a_damaged_record_stops_adoption_over_it(vault: Vault, path: Path) -> None:
    fill(vault)
    vault.close()
    raw(path, "UPDATE record SET version = -1 WHERE place = 1")
    with Vault.open(path, PASS) as again:
        with pytest.raises(CannotOpen):
            again.adopt([Put("t", "c", b"x"), Put("t", "a", b"y")])
        assert again.get("t", "c") is None


def test_a_record_that_vanishes_under_an_open_vault_is_missed(vault: Vault, path: Path) -> None:
    """Where a record lies is remembered, so that its next writing need not look for it; it is noticed all the same."""
    fill(vault)
    raw(path, "DELETE FROM record WHERE place = 1")
    for change in (b"y", None):
        with pytest.raises(CannotOpen):
            vault.adopt([Put("t", "a", change)])
    with pytest.raises(CannotOpen):
        vault.check()


def test_places_are_right_after_any_order_of_changes(path: Path) -> None:
    with Vault.create(path, PASS, cost=CHEAP) as vault:
        vault.adopt([Put("t", "a", b"1"), Put("t", "b", b"2")])
        vault.adopt([Put("t", "b", None), Put("t", "c", b"3"), Put("s", "x/1", b"4")])
        vault.adopt([Put("t", "b", b"5"), Put("t", "a", b"6"), Put("s", "x/1", None)])
        assert vault.all("t") == {"a": b"6", "c": b"3", "b": b"5"}
        vault.check()
    with Vault.open(path, PASS) as again:
        again.adopt([Put("t", "c", None), Put("t", "d", b"7")])
        again.adopt([Put("t", "a", b"8")])
        assert again.all("t") == {"a": b"8", "b": b"5", "d": b"7"}
        again.check()


# -------------------------------------------------------------------------------------------------------- passphrase


def test_a_changed_passphrase_opens_and_the_old_one_does_not(vault: Vault, path: Path) -> None:
    fill(vault)
    vault.change_passphrase("quite another", cost=CHEAP)
    vault.close()
    with pytest.raises(NotReady):
        Vault.open(path, PASS)
    with Vault.open(path, "quite another") as again:
        assert again.check() == {"t": 2, "u": 1}


def test_the_old_lid_is_gone_from_the_disk(vault: Vault, path: Path) -> None:
    old = vault._header.lid.sealed
    vault.change_passphrase("quite another", cost=CHEAP)
    assert old not in b"".join(p.read_bytes() for p in path.parent.iterdir())


CHANGER = """
import os, signal, sys
from pathlib import Path
from clients.vault import Vault
from tests.clients.vaults import CHEAP
vault, steps = Vault.open(Path(sys.argv[1]), sys.argv[2]), []
def step(statement):
    if len(steps) == int(sys.argv[4]):
        os.kill(os.getpid(), signal.SIGKILL)
    steps.append(statement.split()[0])
vault._db.set_trace_callback(step)
vault.change_passphrase(sys.argv[3], cost=CHEAP)
print(*steps)
"""


def test_killed_before_any_step_of_a_change_one_of_the_two_opens_it(vault: Vault, path: Path) -> None:
    """And whoever opens and leaves it then overwrites the lid of the other."""
    fill(vault)
    vault.close()
    old = PASS
    for killed in range(6):
        before, new = read_header(path).lid.sealed, f"number {killed}"
        words = [sys.executable, "-c", CHANGER, str(path), old, new, str(killed)]
        ended = subprocess.run(words, stdout=subprocess.PIPE, text=True, check=False)
        if killed == 5:  # there is no sixth
            assert (ended.returncode, ended.stdout) == (0, "BEGIN SELECT UPDATE COMMIT PRAGMA\n")
        else:
            assert ended.returncode == -signal.SIGKILL
        held, gone = (new, old) if killed >= 4 else (old, new)  # the fourth is COMMIT
        with pytest.raises(NotReady, match="wrong passphrase"):
            Vault.open(path, gone)
        with Vault.open(path, held) as again:
            assert again.check() == {"t": 2, "u": 1}
        there = b"".join(file.read_bytes() for file in path.parent.iterdir())
        assert (before in there) == (held == old)
        old = held


def test_a_lid_that_cannot_be_overwritten_yet_is_told(vault: Vault, path: Path) -> None:
    """Somebody reads the file meanwhile: a backup, say. The new passphrase holds, and leaving it mends the rest."""
    fill(vault)
    old = vault._header.lid.sealed
    vault._db.execute("PRAGMA busy_timeout = 0")
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as reader:
        reader.execute("BEGIN")
        reader.execute("SELECT value FROM header").fetchall()
        with pytest.raises(NotReady, match=r"the new passphrase holds, but .*another process reads it") as e:
            vault.change_passphrase("quite another", cost=CHEAP)
        assert e.value.code == "old-passphrase-left"
        assert f"{path.name}-wal in {path.parent}" in e.value.hint
        vault.close()
        assert old in path.read_bytes()
        assert path.with_name(f"{path.name}-wal").exists()
    with pytest.raises(NotReady, match="wrong passphrase"):
        Vault.open(path, PASS)
    with Vault.open(path, "quite another") as again:
        assert again.check() == {"t": 2, "u": 1}
    assert [file.name for file in path.parent.iterdir()] == [path.name]
    assert old not in path.read_bytes()


def test_a_disk_that_fails_once_the_new_one_holds_is_told_so(vault: Vault, path: Path) -> None:
    vault._db.set_authorizer(
        lambda action, *_: sqlite3.SQLITE_DENY if action == sqlite3.SQLITE_PRAGMA else sqlite3.SQLITE_OK
    )
    with pytest.raises(NotReady, match="the new passphrase holds") as e:
        vault.change_passphrase("quite another", cost=CHEAP)
    assert e.value.code == "old-passphrase-left"
    vault.close()
    Vault.open(path, "quite another").close()


def test_a_disk_that_takes_no_change_leaves_the_old_one(vault: Vault, path: Path) -> None:
    fill(vault)
    vault._db.execute("PRAGMA query_only = 1")
    with pytest.raises(NotReady, match="can't be written") as e:
        vault.change_passphrase("quite another", cost=CHEAP)
    assert "the old passphrase opens the profile; should it not, the new one does" in e.value.hint
    vault.close()
    with Vault.open(path, PASS) as again:
        assert again.check() == {"t": 2, "u": 1}


# ----------------------------------------------------------------------------------------------------------- crashes

WRITER = """
import sys
from pathlib import Path
from clients.vault import Put, Vault
vault = Vault.open(Path(sys.argv[1]), sys.argv[2])
n = vault.generation
print("ready", flush=True)
while True:
    n += 1
    body = n.to_bytes(8, "big") * 200
    vault.adopt([Put("t", "a", body), Put("t", "b", body), Put("log", f"x/{n}", body), Put("log", f"x/{n - 3}", None)])
    print(n, flush=True)
"""


def test_killed_at_any_moment_it_holds_the_old_state_or_the_new(vault: Vault, path: Path) -> None:
    vault.close()
    chance = random.Random()
    for _ in range(4):
        process = subprocess.Popen([sys.executable, "-c", WRITER, str(path), PASS], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        killer = threading.Timer(chance.uniform(0.01, 0.15), process.send_signal, [signal.SIGKILL])
        killer.start()
        told = process.stdout.read().split("\n")[:-1]  # the last line may be half written
        process.wait()
        process.stdout.close()
        with reopened(path) as again:
            n = again.generation
            assert not told or n in (int(told[-1]), int(told[-1]) + 1)  # nothing that was told is lost
            again.check()
            if n:
                assert again.all("t") == {"a": n.to_bytes(8, "big") * 200, "b": n.to_bytes(8, "big") * 200}
                assert again.range("log", "x", newest=True, limit=1)[0][0] == f"x/{n}"


def test_killed_while_being_made_it_is_there_whole_or_not_at_all(path: Path) -> None:
    making = (
        "import sys; from pathlib import Path; from clients.vault import Vault, Put; from clients.locked import Cost\n"
        "print('go', flush=True)\n"
        "Vault.create(Path(sys.argv[1]), sys.argv[2], writes=[Put('t', 'a', bytes(1 << 20))], cost=Cost(64, 1, 1))"
    )
    chance = random.Random()
    for _ in range(3):
        process = subprocess.Popen([sys.executable, "-c", making, str(path), PASS], stdout=subprocess.PIPE)
        assert process.stdout is not None
        process.stdout.readline()
        threading.Timer(chance.uniform(0, 0.04), process.send_signal, [signal.SIGKILL]).start()
        assert process.wait() in (0, -signal.SIGKILL)
        process.stdout.close()
        if path.exists():
            with reopened(path) as again:
                assert again.check() == {"t": 1}
        shutil.rmtree(path.parent, ignore_errors=True)
