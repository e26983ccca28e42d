"""Where the relay keeps what it was given: one small interface, and three that keep it.

    base           what a store promises                   news     what it tells: all that is durable, in one order
    local          what stores of one writer share         memory   the one that forgets
    sqlite         the embedded one: writing (a batch, and topics), shelves (what is no topic), reading, schema (tables,
                   and those of earlier versions), ids (was this one used?), many (rows at once), thread, wal (its log)
    nats           on a cluster: jetstream (asking it), shortcut (in and out), sharing (one question for many),
                   streams (made, and judged), watch (how the log is), feed (what has become durable),
                   fold (a topic as its messages say), sessions (who has the newest), pages (reading),
                   batches (what goes at once), topic_writes, objects (blobs), records (by key), housekeeping

Every promise of `base` is a test that all three pass: ``tests/relay/store/test_conformance.py``.
"""
