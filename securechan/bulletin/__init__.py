"""Bulletins: what a document is (STIX, CSAF, text), how far its TLP lets it go, and how it is signed and carried.

document    what a document is and says of itself          strict_json, findings (what is wrong, and where)
stix        STIX 2.1, by stix_tables                       shape        tables of what a JSON value must look like
csaf        CSAF 2.0 and 2.1: csaf_tables (structure), advisory, csaf_rules, csaf_rules_21 and csaf_profiles
            (the mandatory tests), cvss_check, notations (package URLs, version ranges, licenses)
tlp         TLP 2.0 as a rule                              consent      the originator's, to go further
bulletin    header, content, signature                     payload      what one message of a conversation carries
"""
