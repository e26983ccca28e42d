"""RFC 9420, Messaging Layer Security, as values: a group is a value and every operation answers with the next one.

The RFC as a table of contents:

    §4, §7     treemath tree nodes treekem roll row         the ratchet tree, and one secret for all
    §5         registry labels credentials                  §8     schedule context transcript psk
    §6         framing protection message                   §9     ratchets past
    §10        keypackage negotiate                         §11    group lineage succession
    §12        proposals validation selection apply commit outside welcome join
    §13        extensions grease

    send, receive   from what is meant to bytes, and from bytes to a verdict (`outcomes`)
    epoch, step     an epoch as one member has it; a commit made and not decided
    rules, terms    what is refused, by number; what the RFC leaves to the application
    rest            a group at rest, in pieces

README.md beside this file shows the engine alone: a group in twenty lines, and every rule with its test.
"""
