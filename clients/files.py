"""Files of people: read no further than a limit, written whole or not at all, for their owner alone."""

from __future__ import annotations

import errno
import os
import secrets
from pathlib import Path

from securechan.errors import Conflict, Malformed, NotFound, NotReady


def read(path: Path, limit: int) -> bytes:
    """The bytes of a file, which are at most ``limit``. Raises NotFound, NotReady (``file-unreadable``), Malformed."""
    try:
        with path.open("rb") as file:
            content = file.read(limit + 1)
    except FileNotFoundError:
        raise NotFound(f"there is no file {path}", hint="check the path") from None
    except IsADirectoryError:
        raise NotReady(f"{path} is a folder", hint="name the file that is meant", code="file-unreadable") from None
    except OSError as e:
        raise NotReady(
            f"{path} can't be read: {e.strerror}", hint="check its permissions", code="file-unreadable"
        ) from e
    if len(content) > limit:
        raise Malformed(f"{path} holds more than {limit} bytes", hint="check which file is asked for")
    return content


def write_private(path: Path, content: bytes, *, replace: bool = False) -> None:
    """Write a file that only its owner may read, whole or not at all. Raises Conflict where there is one already."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
                file.flush()
                os.fsync(file.fileno())
            if replace:
                draft.replace(path)
            else:
                os.link(draft, path)
        finally:
            draft.unlink(missing_ok=True)
    except OSError as e:
        if isinstance(e, FileExistsError) and path.exists():
            raise Conflict(f"there is a file {path} already", hint="move it away, or name another") from None
        code = "disk-full" if e.errno in (errno.ENOSPC, errno.EDQUOT) else "file-unwritable"
        raise NotReady(
            f"{path} can't be written: {e.strerror or e}",
            hint="check the folder, its permissions and its room",
            code=code,
        ) from e


def write(path: Path, content: bytes) -> None:
    """Put ``content``, readable by its owner alone, in the place of ``path``. Raises NotReady (``file-unwritable``)."""
    # The folder may be everybody's: a name that can be guessed could be somebody else's link by now.
    draft = path.with_name(f".{secrets.token_hex(8)}.part")
    try:
        handle = os.open(draft, os.O_CREAT | os.O_EXCL | os.O_WRONLY | os.O_CLOEXEC, 0o600)
        try:
            with os.fdopen(handle, "wb") as file:
                file.write(content)
            draft.replace(path)
        finally:
            draft.unlink(missing_ok=True)
    except IsADirectoryError:
        raise NotReady(
            f"{path} is a folder", hint=f"name a file in it: {path / 'NAME'}", code="file-unwritable"
        ) from None
    except OSError as e:
        raise NotReady(
            f"{path} can't be written: {e.strerror}",
            hint="check the folder and its permissions",
            code="file-unwritable",
        ) from e
