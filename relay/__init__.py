"""The post office: it forwards and stores ciphertext, orders it, and can be no more than late or absent.

the operator   cli setup (a folder, its keys) config mistakes (told by line) keys backup mirror running (asked of it)
               bench (what the machine gives)
the process    process (opens, serves, ends) workers (several on a port) signals (before it serves) notify logs
               metrics vitals observe (for who watches)
the doors      server websocket tls connection (a session) admission (who may be here) people (who that is)
               limits (quotas) bounds (numbers that hold for all) outgoing (frames encoded by hand)
               departures (all that leaves in a turn of the loop)
the mailroom   mailroom (without sockets) member (a session, seen from here) lanes (the order of its requests)
  counters     groups letters (inboxes, boxes) depot (blobs, key packages) backroom (what they share) replies
  topics       topics access (who may read) catchup hearing (what is durable now) heads (signed ends) trust_topic
  storage      heartbeat (the group commit) ledger (how much an agency has) blobs          store/   where it is kept

    socket → connection → mailroom → lanes → a counter → heartbeat → store
    store → hearing → topics → member → connection → socket
"""
