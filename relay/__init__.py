"""The post office: it forwards and stores ciphertext, orders it, and can be no more than late or absent.

config       what the operator may set, and what is wrong with it, by line
keys         the relay's KEM and online keys; its card
server       the listening socket: who may knock, /healthz, /card, start and stop
connection   one session: handshake, read loop, write side
limits       quotas and budgets: token buckets
mailroom     topics, subscriptions, the group commit        store/   where they are kept
trust_topic  the publisher of the federation's trust        metrics, logs   counts, not names
"""
