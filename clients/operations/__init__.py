"""What users can do, as functions: the terminal parses and shows, these do.

engine          an operation carried out: here, or by the process that holds the profile      lookup   what was meant
everybody       status watch doctor profile contact device key verify enrol newcomer
officers        conversation direct (of two officers) message reach (whom a message has reached)
bulletin desk   bulletin (publish, revise, withdraw, acknowledge) shelf (find, list, show) forwards proof
                documents (what they are, how they are marked) skeleton (to begin with)
an agency's     office (who may act, with which keys) admin founding rosters rotation
administrators  wishes (keys that devices ask for) farewells (devices to revoke) directory (contact cards) upkeep
a federation's  plan (what they want) root (the folder, signing, publishing) ceremonies (what is told)

What an operation takes and answers is JSON: it may be done in another process (`clients.control`).
"""
