"""Algorithms, and nothing of the protocol.

    secret      bytes that don't show themselves
    kdf         HKDF (RFC 5869) and the one-stage XOFs that HPKE may use instead
    aead        AES-GCM and ChaCha20-Poly1305
    curves      the NIST curves of suites 2, 5 and 7
    kem         DHKEM, X-Wing, ML-KEM: each with the DeriveKeyPair rule of its suite
    hpke        RFC 9180 base mode
    signature   Ed25519, Ed448, ECDSA, ML-DSA, and the composite ML-DSA-65 + Ed25519
    certificate X.509, as far as: whose key is this?
    root        the pair SLH-DSA-SHA2-192s + Ed25519 of the root of trust
    suite       one table row per cipher suite
    contexts    what each kind of our signatures is for
    second      pqcrypto, seen through types
    selftest    two implementations that must agree

Whatever goes wrong ends in an error of ``securechan.errors``: wrong sizes of what came from outside are ``Malformed``,
bad points and keys ``Invalid``, failed decryption ``CannotOpen``, failed verification ``BadSignature``, and a caller's
own mistake ``Misuse``.
"""
