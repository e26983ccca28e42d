"""Who belongs to the federation, who says so, and until when.

The files, each resting on those above it:

    names       what agencies, officers and devices may be called
    strict      the one JSON form of everything that is signed
    records     what trust says: policy, agencies, relays, communities, devices, tombstones
    keys        composite and root-pair keys as TUF keys and signers
    contents    what documents say, role by role, and the rules that one alone can break
    document    one TUF document: its bytes, verified by its delegator
    workflow    one publication: the ordered rules by which documents replace documents
    freshness   what may still be done when documents expire
    view        the value that a member and a relay hold, and its questions
    draft       a document on its way to enough signatures
    authority   making documents: root, federation, agency, roster
    publisher   snapshot and timestamp over them: what a TRUST entry holds
    diff        what a draft changes, in words
    parcels     the form of files that people pass on
    bundle      files that carry documents and drafts between people
    evidence    proof for later that a key was listed
    words       bytes one can say on the telephone
    cards       names and duties of officers, encrypted
    enrolment   invite, request, six words, verdict
    pending     a roster that waits for a second administrator
"""
