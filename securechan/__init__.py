"""The protocol of securechan: it never waits, reads no clock, writes no log and opens no file.

Import the module you mean (``from securechan.mls.group import Group``); this package imports nothing by itself, so
that the relay can prove it loads no MLS.
"""
