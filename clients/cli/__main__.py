"""``python -m clients.cli``: the same program, where it is not installed as ``securechan``."""

from __future__ import annotations

from clients.cli import main

if __name__ == "__main__":
    main()
