"""clients/passphrase.py: how a passphrase comes in, and how often somebody may mistype it."""

from __future__ import annotations

import os
import signal
import threading
from pathlib import Path

import pytest

from clients.passphrase import MAX_PASSPHRASE, TRIES, Passphrases, interruptible, terminal
from securechan.errors import Malformed, Misuse, NotReady


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "phrase"
    path.write_text("a long phrase\nand a second line\n")
    path.chmod(0o600)
    return path


def nobody(prompt: str) -> str:
    raise AssertionError("nobody should have been asked")


def test_from_a_file_the_first_line(file: Path) -> None:
    assert Passphrases.find(file=file, ask=nobody, environment={}).get("x") == "a long phrase"
    named = Passphrases.find(ask=nobody, environment={"SECURECHAN_PASSPHRASE_FILE": str(file)})
    assert named.get("x") == "a long phrase"
    assert named.new("x") == "a long phrase"


def test_a_file_with_crlf_or_without_an_end(file: Path) -> None:
    for content in (b"phrase\r\n", b"phrase", b"phrase\n"):
        file.write_bytes(content)
        assert Passphrases(file=file).get("x") == "phrase"


def test_from_a_descriptor_which_stands_over_the_environment(file: Path) -> None:
    read, write = os.pipe()
    os.write(write, b"from the pipe")
    os.close(write)
    try:
        found = Passphrases.find(fd=read, environment={"SECURECHAN_PASSPHRASE_FILE": str(file)})
        assert found.get("x") == "from the pipe"
    finally:
        os.close(read)


def test_a_named_pipe_may_hold_it(tmp_path: Path) -> None:
    fifo = tmp_path / "fifo"
    os.mkfifo(fifo)
    keep = os.open(fifo, os.O_RDWR)  # so that the reader, which doesn't wait for a writer, finds one
    writer = threading.Thread(target=fifo.write_text, args=("phrase\n",))
    writer.start()
    assert Passphrases(file=fifo).get("x") == "phrase"
    writer.join()
    os.close(keep)


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o644])
def test_a_file_that_others_may_read_is_refused(file: Path, mode: int) -> None:
    file.chmod(mode)
    with pytest.raises(NotReady) as e:
        Passphrases(file=file).get("x")
    assert e.value.hint == f"chmod 600 {file}"


@pytest.mark.parametrize("content", [b"", b"\n", b"\nsecond", b"\xff\xfe", b"x" * (MAX_PASSPHRASE + 1)])
def test_a_file_without_a_passphrase_says_so(file: Path, content: bytes) -> None:
    file.write_bytes(content)
    with pytest.raises((NotReady, Malformed)) as e:
        Passphrases(file=file).get("x")
    assert e.value.code == "passphrase-file"


def test_a_folder_is_called_one(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="is a folder, not a passphrase file"):
        Passphrases(file=tmp_path).get("x")


def test_a_missing_file_or_a_closed_descriptor_says_so(tmp_path: Path) -> None:
    with pytest.raises(NotReady, match="No such file"):
        Passphrases(file=tmp_path / "nothing").get("x")
    with pytest.raises(NotReady, match="descriptor"):
        Passphrases(fd=987).get("x")
    with pytest.raises(Misuse):
        Passphrases(fd=-1).get("x")


def test_without_a_terminal_nothing_is_asked_and_the_error_says_what_was_needed() -> None:
    for ask in (Passphrases().get, Passphrases().new):
        with pytest.raises(NotReady, match="passphrase of the vault is needed") as e:
            ask("the vault")
        assert e.value.code == "passphrase-needed"
        assert "SECURECHAN_PASSPHRASE_FILE" in e.value.hint


def test_a_person_is_asked_once_for_an_old_one_and_twice_for_a_new_one() -> None:
    said: list[str] = []

    def ask(prompt: str) -> str:
        said.append(prompt)
        return "open sesame"

    assert Passphrases(ask=ask).get("the vault") == "open sesame"
    assert len(said) == 1
    assert Passphrases(ask=ask).new("the vault") == "open sesame"
    assert len(said) == 3


def answers(*said: str) -> tuple[Passphrases, list[str]]:
    """Somebody at a terminal who says these, and the prompts they are shown."""
    left, shown = list(said), []

    def ask(prompt: str) -> str:
        shown.append(prompt)
        return left.pop(0)

    return Passphrases(ask=ask), shown


def test_who_mistypes_a_new_one_is_told_and_asked_again() -> None:
    person, shown = answers("short", "first phrase", "second phrase", "third phrase", "third phrase")
    assert person.new("the vault") == "third phrase"
    assert shown[1] == "a passphrase of 5 characters is too short, try again\n" + shown[0]
    assert shown[2] == shown[4] == "the same again: "
    assert shown[3] == "the two passphrases differ, try again\n" + shown[0]


def test_a_person_has_three_tries() -> None:
    person, shown = answers("one", "two", "three", "long enough")
    with pytest.raises(Malformed, match="too short"):
        person.new("the vault")
    assert len(shown) == TRIES
    person, shown = answers("", "", "", "right")
    with pytest.raises(NotReady) as e:
        person.opening("the vault", opens)
    assert e.value.code == "no-passphrase"
    assert len(shown) == TRIES
    person, shown = answers("wrong", "", "right")
    assert person.opening("the vault", opens) == 7
    assert shown[1].startswith("wrong passphrase, try again\n")
    assert shown[2].startswith("no passphrase was given, try again\n")


def opens(passphrase: str) -> int:
    """As a lock would."""
    if passphrase != "right":
        raise NotReady("wrong passphrase", code="wrong-passphrase")
    return 7


def test_what_no_other_try_mends_is_told_at_once() -> None:
    def broken(_: str) -> int:
        raise NotReady("the vault is of another version", code="vault-newer")

    person, shown = answers("right", "right")
    with pytest.raises(NotReady, match="another version"):
        person.opening("the vault", broken)
    assert len(shown) == 1


def test_a_file_and_what_is_known_have_one_try(file: Path) -> None:
    for given in (Passphrases(file=file, ask=nobody), Passphrases(known="wrong", ask=nobody), Passphrases.of("wrong")):
        tried: list[str] = []
        with pytest.raises(NotReady) as e:
            given.opening("the vault", lambda said, tried=tried: (tried.append(said), opens(said)))
        assert (e.value.code, len(tried)) == ("wrong-passphrase", 1)
    file.write_text("short\n")
    with pytest.raises(Malformed, match="too short"):
        Passphrases(file=file, ask=nobody).new("the vault")


def test_what_is_known_is_not_shown() -> None:
    assert "sesame" not in repr(Passphrases.of("open sesame"))
    assert "sesame" not in repr(Passphrases(memory={"the vault": "open sesame"}))


def test_who_opens_one_thing_twice_is_asked_once() -> None:
    person, shown = answers("wrong", "right", "another")
    assert person.opening("the vault", opens) == 7
    again = Passphrases.find(ask=person.ask, environment={}, memory=person.memory)
    assert again.opening("the vault", opens) == 7
    assert len(shown) == 2
    assert again.get("the key") == "another"  # another thing has another one


def test_what_a_pipe_held_is_kept() -> None:
    read, write = os.pipe()
    os.write(write, b"from the pipe\n")
    os.close(write)
    memory: dict[str, str] = {}
    try:
        for what in ("the vault", "the key", "the vault"):
            assert Passphrases.find(fd=read, environment={}, memory=memory).get(what) == "from the pipe"
        assert Passphrases.find(fd=read, environment={}, memory=memory).new("a key") == "from the pipe"
    finally:
        os.close(read)


def test_nobody_can_be_asked_where_there_is_no_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    with Path(os.devnull).open() as nothing:
        monkeypatch.setattr("sys.stdin", nothing)
        assert terminal() is None


def test_while_somebody_is_asked_ctrl_c_is_nobody_elses() -> None:
    def loops_own(*_: object) -> None:
        """As an event loop's, which only cancels a task."""

    before = signal.signal(signal.SIGINT, loops_own)
    try:
        with pytest.raises(KeyboardInterrupt), interruptible():
            signal.raise_signal(signal.SIGINT)
        assert signal.getsignal(signal.SIGINT) is loops_own
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        with interruptible():
            signal.raise_signal(signal.SIGINT)  # who ignores it goes on doing so
    finally:
        signal.signal(signal.SIGINT, before)


def test_another_thread_leaves_signals_alone() -> None:
    before, seen = signal.getsignal(signal.SIGINT), []

    def ask() -> None:
        with interruptible():
            seen.append(signal.getsignal(signal.SIGINT))

    thread = threading.Thread(target=ask)
    thread.start()
    thread.join()
    assert seen == [before]
