"""Hands and eyes of a member: what touches disk, network, clock and people around the agent, which touches nothing.

locked      a few secret bytes under a passphrase
vault       everything a device knows, sealed, adopted in one transaction
profile     where it lies, who holds it, where its passphrase comes from
transport   one relay: connect, shake hands, send, receive, again
runtime     input → agent → vault → effects: the only place that waits
control     a running ``watch`` does errands for other invocations
operations  what a user can do, as functions
cli         the terminal: parse, call, render
"""
