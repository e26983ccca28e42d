"""Who belongs to the federation, who says so, and until when.

names       what agencies, officers and devices may be called
strict      the one JSON form of everything that is signed
records     what trust says: policy, agencies, relays, communities, devices, tombstones
keys        composite and root-pair keys as TUF keys and signers
document    one TUF document: parsed, typed, verified by its delegator
workflow    one publication: the ordered rules by which documents replace documents
view        the value that a member and a relay hold, and its questions
freshness   what may still be done when documents expire
draft       a document on its way to enough signatures
authority   making documents: root, federation, agency, roster
publisher   snapshot and timestamp over them: what a TRUST entry holds
bundle      files that carry documents and drafts between people
diff        what a draft changes, in words
evidence    proof for later that a key was listed
enrolment   invite, request, six words, verdict
words       bytes one can say on the telephone
cards       names and duties of officers, encrypted
"""
