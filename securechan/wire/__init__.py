"""Client ↔ relay, without I/O: the frames, the hybrid handshake, the record layer, the history chain."""
