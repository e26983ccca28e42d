"""Hands and eyes of a member: what touches disk, network, clock and people around the agent, which touches nothing.

on disk     locked       a few secret bytes under a passphrase
            vault        everything a device knows, adopted in one transaction: sealing (a record at rest), vaultfile
            profile      where it lies, and who holds it
            keyfile      trust keys, each under a passphrase of its own      files   read to a limit, written whole
to the      connection   one session with a relay                            transport   one after the other
relay       line         the way there: straight, or through a proxy         sockets     why there is none
            errand       a short session, for guests and for holders of trust keys
            federation   what is known of a federation by who is not in it   probe       is its TLS post-quantum?
at work     runtime      input → agent → vault → effects: the only place that waits
            control      a running ``watch`` does errands for other invocations
            operations   what a user can do, as functions
            cores, clock what this machine lends
to people   cli          the terminal: parse, call, render                   render, exitcodes, passphrase
            demo         a day on the channel, by real processes             demo_data   its documents
"""
