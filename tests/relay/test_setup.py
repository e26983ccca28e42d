"""What stands around a relay: its first folder, and its words. The command line's tests walk the rest."""

from __future__ import annotations

from pathlib import Path

import pytest

from relay import keys, setup
from securechan.errors import Conflict


def test_a_folder_holds_one_relay(tmp_path: Path) -> None:
    keys.make(tmp_path, 1000)  # by a first run without init
    with pytest.raises(Conflict):
        setup.init(tmp_path, name="relay-1", url="", host="127.0.0.1", port=1)
