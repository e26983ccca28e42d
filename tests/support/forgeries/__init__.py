"""Every rule of the MLS engine, broken one at a time; importing this fills the table."""

from tests.support.forgeries import (
    commits,
    extensions,
    framing,
    joining,
    keys,
    leaves,
    lineage,
    lists,
    proposals,
    trees,
)

SECTIONS = (commits, extensions, framing, joining, keys, leaves, lineage, lists, proposals, trees)
