"""Client ↔ relay, without I/O.

handshake (the client), door (the relay), handshake_formats   the hybrid handshake, from a stranger to a session
session, padding     the record layer, and how long things look
plaintext, frames    what a record holds, and what is said in it
chain, heads         a topic's history, and the relay's signature under where it ends
"""
