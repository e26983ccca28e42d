"""Bulletins: what a document is (STIX, CSAF, text), how far its TLP lets it go, and how it is signed and carried."""
