"""A member's mind: (state, input, now) → (state, writes, effects). It waits for nothing and opens nothing.

the value       agent (rows and session, one function over both) state (the rows) tables session memory turn
in and out      inputs commands answers asks → effects events archive     look   what may be asked without changing it
a conversation  reading (its log) past claims payloads sending policy founding joining commits
                reconcile, membership (who belongs, whose turn it is) rotation succession
letters         letters inbox (between devices, beside conversations) rosters
bulletins       bulletins reach (TLP as a rule) receipts forwards consents blobs
trust           trustlog packages (offers to be added)
when it fails   recovery (frozen, added again) forgotten (the relay has lost something) setback (a clock set right)
"""
