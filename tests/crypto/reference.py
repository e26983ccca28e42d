"""A third opinion: ML-KEM, SLH-DSA's verification and TurboSHAKE written down as their standards say, in plain Python.

OpenSSL's bindings encapsulate at random only, know no ML-KEM-512 and no TurboSHAKE; the vectors of draft-ietf-hpke-pq
have all three. SLH-DSA we have from one library alone. So the tests bring their own: slow, straight from the standards'
algorithms, for known answers alone. There are also KEM rows here that the product doesn't have, which prove that a row
is all it takes to add one.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final, Literal

from cryptography.hazmat.primitives.asymmetric import ec, x25519

from securechan.crypto import curves
from securechan.crypto.curves import Curve
from securechan.crypto.kem import Kem, KemKey
from securechan.crypto.secret import Secret

# --- ML-KEM (FIPS 203) ------------------------------------------------------------------------------------------------

_Q: Final = 3329
_ZETAS: Final = [pow(17, int(f"{i:07b}"[::-1], 2), _Q) for i in range(128)]
_GAMMAS: Final = [pow(17, 2 * int(f"{i:07b}"[::-1], 2) + 1, _Q) for i in range(128)]
_PARAMETERS: Final = {512: (2, 3, 10, 4), 768: (3, 2, 10, 4), 1024: (4, 2, 11, 5)}  # k, η₁, d_u, d_v; η₂ = 2

Poly = list[int]


def _bits(data: bytes) -> list[int]:
    return [byte >> i & 1 for byte in data for i in range(8)]


def _encode(poly: Poly, d: int) -> bytes:
    whole = sum(value << (d * i) for i, value in enumerate(poly))
    return whole.to_bytes(32 * d, "little")


def _decode(data: bytes, d: int) -> Poly:
    whole = int.from_bytes(data, "little")
    return [whole >> (d * i) & ((1 << d) - 1) for i in range(256)]


def _compress(poly: Poly, d: int) -> Poly:
    return [((value << d) + _Q // 2) // _Q % (1 << d) for value in poly]


def _decompress(poly: Poly, d: int) -> Poly:
    return [(value * _Q + (1 << (d - 1))) >> d for value in poly]


def _sample_ntt(seed: bytes) -> Poly:
    stream, i = hashlib.shake_128(seed).digest(168 * 8), 0
    out: Poly = []
    while len(out) < 256:
        a, b, c = stream[i : i + 3]
        out += [value for value in (a + 256 * (b % 16), b // 16 + 16 * c) if value < _Q]
        i += 3
    return out[:256]


def _sample_cbd(seed: bytes, nonce: int, eta: int) -> Poly:
    bits = _bits(hashlib.shake_256(seed + bytes([nonce])).digest(64 * eta))
    chunks = [bits[2 * eta * i : 2 * eta * (i + 1)] for i in range(256)]
    return [(sum(chunk[:eta]) - sum(chunk[eta:])) % _Q for chunk in chunks]


def _ntt(poly: Poly) -> Poly:
    f, i, length = list(poly), 1, 128
    while length >= 2:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                t = _ZETAS[i] * f[j + length] % _Q
                f[j + length], f[j] = (f[j] - t) % _Q, (f[j] + t) % _Q
            i += 1
        length //= 2
    return f


def _inverse(poly: Poly) -> Poly:
    f, i, length = list(poly), 127, 2
    while length <= 128:
        for start in range(0, 256, 2 * length):
            for j in range(start, start + length):
                t = f[j]
                f[j] = (t + f[j + length]) % _Q
                f[j + length] = _ZETAS[i] * (f[j + length] - t) % _Q
            i -= 1
        length *= 2
    return [value * 3303 % _Q for value in f]


def _dot(left: list[Poly], right: list[Poly]) -> Poly:
    out = [0] * 256
    for f, g in zip(left, right, strict=True):
        for i in range(128):
            a0, a1, b0, b1 = f[2 * i], f[2 * i + 1], g[2 * i], g[2 * i + 1]
            out[2 * i] += a0 * b0 + a1 * b1 * _GAMMAS[i]
            out[2 * i + 1] += a0 * b1 + a1 * b0
    return [value % _Q for value in out]


def _add(*polys: Poly) -> Poly:
    return [sum(values) % _Q for values in zip(*polys, strict=True)]


@dataclass(frozen=True)
class MlKemReference:
    """ML-KEM-512, -768 or -1024; private keys are the seed d ‖ z."""

    bits: Literal[512, 768, 1024]

    def public(self, seed: bytes) -> bytes:
        return self._keys(seed[:32])[0]

    def encap(self, public: bytes, m: bytes) -> tuple[bytes, bytes]:
        """(shared secret, enc), Encaps_internal."""
        mixed = hashlib.sha3_512(m + hashlib.sha3_256(public).digest()).digest()
        return mixed[:32], self._encrypt(public, m, mixed[32:])

    def decap(self, seed: bytes, enc: bytes) -> bytes:
        public, secret = self._keys(seed[:32])
        m = self._decrypt(secret, enc)
        shared, again = self.encap(public, m)
        return shared if again == enc else hashlib.shake_256(seed[32:] + enc).digest(32)

    def _matrix(self, rho: bytes, k: int) -> list[list[Poly]]:
        return [[_sample_ntt(rho + bytes([j, i])) for j in range(k)] for i in range(k)]

    def _keys(self, d: bytes) -> tuple[bytes, list[Poly]]:
        k, eta, *_ = _PARAMETERS[self.bits]
        mixed = hashlib.sha3_512(d + bytes([k])).digest()
        rho, sigma = mixed[:32], mixed[32:]
        secret = [_ntt(_sample_cbd(sigma, i, eta)) for i in range(k)]
        error = [_ntt(_sample_cbd(sigma, k + i, eta)) for i in range(k)]
        rows = [_add(_dot(row, secret), error[i]) for i, row in enumerate(self._matrix(rho, k))]
        return b"".join(_encode(row, 12) for row in rows) + rho, secret

    def _encrypt(self, public: bytes, m: bytes, r: bytes) -> bytes:
        k, eta, du, dv = _PARAMETERS[self.bits]
        t = [_decode(public[384 * i : 384 * (i + 1)], 12) for i in range(k)]
        matrix = self._matrix(public[384 * k :], k)
        y = [_ntt(_sample_cbd(r, i, eta)) for i in range(k)]
        u = [_add(_inverse(_dot([matrix[j][i] for j in range(k)], y)), _sample_cbd(r, k + i, 2)) for i in range(k)]
        v = _add(_inverse(_dot(t, y)), _sample_cbd(r, 2 * k, 2), _decompress(_decode(m, 1), 1))
        return b"".join(_encode(_compress(part, du), du) for part in u) + _encode(_compress(v, dv), dv)

    def _decrypt(self, secret: list[Poly], enc: bytes) -> bytes:
        k, _, du, dv = _PARAMETERS[self.bits]
        u = [_ntt(_decompress(_decode(enc[32 * du * i : 32 * du * (i + 1)], du), du)) for i in range(k)]
        v = _decompress(_decode(enc[32 * du * k :], dv), dv)
        noise = _inverse(_dot(secret, u))
        return _encode(_compress([(a - b) % _Q for a, b in zip(v, noise, strict=True)], 1), 1)


# --- TurboSHAKE (RFC 9861) --------------------------------------------------------------------------------------------

_MASK: Final = (1 << 64) - 1


def _rotate(value: int, by: int) -> int:
    by %= 64
    return (value << by | value >> (64 - by)) & _MASK


def _permute(lanes: list[list[int]]) -> list[list[int]]:
    """Keccak-p[1600, 12]: the last twelve rounds; the constants come from a shift register (FIPS 202 §3.2)."""
    register = 1
    for number in range(24):
        constant = 0
        for j in range(7):
            register = (register << 1) ^ ((register >> 7) * 0x71)
            register &= 0xFF
            if register & 2:
                constant |= 1 << ((1 << j) - 1)
        if number < 12:
            continue
        columns = [lanes[x][0] ^ lanes[x][1] ^ lanes[x][2] ^ lanes[x][3] ^ lanes[x][4] for x in range(5)]
        parity = [columns[(x - 1) % 5] ^ _rotate(columns[(x + 1) % 5], 1) for x in range(5)]
        lanes = [[lanes[x][y] ^ parity[x] for y in range(5)] for x in range(5)]
        x, y, current = 1, 0, lanes[1][0]
        for t in range(24):
            x, y = y, (2 * x + 3 * y) % 5
            current, lanes[x][y] = lanes[x][y], _rotate(current, (t + 1) * (t + 2) // 2)
        for y in range(5):
            row = [lanes[x][y] for x in range(5)]
            for x in range(5):
                lanes[x][y] = row[x] ^ (~row[(x + 1) % 5] & row[(x + 2) % 5] & _MASK)
        lanes[0][0] ^= constant
    return lanes


def turboshake(message: bytes, rate: int, domain: int, length: int) -> bytes:
    """TurboSHAKE128 (rate 168) or TurboSHAKE256 (rate 136)."""
    padded = bytearray(message + bytes([domain]))
    padded += bytes(-len(padded) % rate)
    padded[-1] ^= 0x80
    lanes = [[0] * 5 for _ in range(5)]
    for start in range(0, len(padded), rate):
        for i in range(rate // 8):
            lanes[i % 5][i // 5] ^= int.from_bytes(padded[start + 8 * i : start + 8 * i + 8], "little")
        lanes = _permute(lanes)
    out = b""
    while True:
        out += b"".join(lanes[i % 5][i // 5].to_bytes(8, "little") for i in range(rate // 8))
        if len(out) >= length:
            return out[:length]
        lanes = _permute(lanes)


@dataclass(frozen=True)
class TurboShake:
    """A one-stage KDF of draft-ietf-hpke-hpke that the product doesn't use: domain byte 0x1F."""

    bits: Literal[128, 256]

    @property
    def id(self) -> int:
        return 0x0012 if self.bits == 128 else 0x0013

    @property
    def length(self) -> int:
        return self.bits // 4

    def derive(self, ikm: bytes, length: int) -> Secret:
        return Secret(turboshake(ikm, 168 if self.bits == 128 else 136, 0x1F, length))


# --- SLH-DSA-SHA2-192s (FIPS 205 §10.3, §11.2.2) ---------------------------------------------------------------------

_N: Final = 24
_H, _D, _HP, _A, _K, _LEN1, _LEN2 = 63, 7, 9, 14, 17, 48, 3


class _Address:
    """ADRS (§4.2), compressed to 22 bytes as the SHA-2 sets want it (§11.2)."""

    def __init__(self, layer: int, tree: int, kind: int, pair: int = 0) -> None:
        self.layer, self.tree, self.kind, self.pair, self.height, self.index = layer, tree, kind, pair, 0, 0

    def __bytes__(self) -> bytes:
        parts = ((self.layer, 1), (self.tree, 8), (self.kind, 1), (self.pair, 4), (self.height, 4), (self.index, 4))
        return b"".join(number.to_bytes(size, "big") for number, size in parts)


def _f(seed: bytes, address: _Address, data: bytes) -> bytes:
    return hashlib.sha256(seed + bytes(64 - _N) + bytes(address) + data).digest()[:_N]


def _h(seed: bytes, address: _Address, data: bytes) -> bytes:
    return hashlib.sha512(seed + bytes(128 - _N) + bytes(address) + data).digest()[:_N]


def _climb(seed: bytes, address: _Address, node: bytes, path: list[bytes], index: int) -> bytes:
    for height, sibling in enumerate(path):
        address.height = height + 1
        address.index >>= 1
        node = _h(seed, address, sibling + node if index >> height & 1 else node + sibling)
    return node


def _base(data: bytes, bits: int, count: int) -> list[int]:
    whole = int.from_bytes(data, "big") >> (8 * len(data) - bits * count)
    return [whole >> (bits * (count - 1 - i)) & ((1 << bits) - 1) for i in range(count)]


def _wots(seed: bytes, layer: int, tree: int, leaf: int, chains: list[bytes], message: bytes) -> bytes:
    digits = _base(message, 4, _LEN1)
    checksum = sum(15 - digit for digit in digits) << 4
    digits += _base(checksum.to_bytes(2, "big"), 4, _LEN2)
    address = _Address(layer, tree, 0, leaf)
    ends = []
    for i, (digit, value) in enumerate(zip(digits, chains, strict=True)):
        address.height, end = i, value
        for step in range(digit, 15):
            address.index = step
            end = _f(seed, address, end)
        ends.append(end)
    return _h(seed, _Address(layer, tree, 1, leaf), b"".join(ends))


def slhdsa_verifies(public: bytes, message: bytes, signature: bytes, context: bytes) -> bool:
    """slh_verify of SLH-DSA-SHA2-192s."""
    if len(public) != 2 * _N or len(signature) != 16224:
        return False
    seed, root = public[:_N], public[_N:]
    words = [signature[i : i + _N] for i in range(0, len(signature), _N)]
    framed = bytes([0, len(context)]) + context + message
    inner = words[0] + seed + hashlib.sha512(words[0] + public + framed).digest()
    digest = hashlib.sha512(inner + bytes(4)).digest()[:39]  # MGF1, one block
    tree = int.from_bytes(digest[30:37], "big") % (1 << (_H - _HP))
    leaf = int.from_bytes(digest[37:], "big") % (1 << _HP)
    roots, at = [], 1
    for i, index in enumerate(_base(digest[:30], _A, _K)):
        address = _Address(0, tree, 3, leaf)
        address.index = (i << _A) + index
        roots.append(_climb(seed, address, _f(seed, address, words[at]), words[at + 1 : at + 1 + _A], index))
        at += 1 + _A
    node = _h(seed, _Address(0, tree, 4, leaf), b"".join(roots))
    for layer in range(_D):
        node = _wots(seed, layer, tree, leaf, words[at : at + _LEN1 + _LEN2], node)
        at += _LEN1 + _LEN2
        address = _Address(layer, tree, 2)
        address.index = leaf
        node = _climb(seed, address, node, words[at : at + _HP], leaf)
        at += _HP
        tree, leaf = tree >> _HP, tree % (1 << _HP)
    return node == root


# --- KEM rows for vectors alone ---------------------------------------------------------------------------------------


class ReferenceMlKem(Kem):
    """ML-KEM of the reference as an HPKE KEM."""

    rule = "hpke-pq"
    secret_length = 32
    private_length = 64

    def __init__(self, bits: Literal[512, 768, 1024]) -> None:
        k, _, du, dv = _PARAMETERS[bits]
        self.id = {512: 0x0040, 768: 0x0041, 1024: 0x0042}[bits]
        self.name = f"reference ML-KEM-{bits}"
        self.public_length = 384 * k + 32
        self.enc_length = 32 * (du * k + dv)
        self.mlkem = MlKemReference(bits)

    def _load(self, private: Secret) -> KemKey:
        return KemKey(self, private, self.mlkem.public(private), ())

    def _check_public(self, public: bytes) -> None:
        del public

    def _encap(self, public: bytes) -> tuple[Secret, bytes]:
        return self.encap_from(public, Secret.random(32))

    def encap_from(self, public: bytes, seed: bytes) -> tuple[Secret, bytes]:
        shared, enc = self.mlkem.encap(public, seed)
        return Secret(shared), enc

    def _decap(self, key: KemKey, enc: bytes) -> Secret:
        return Secret(self.mlkem.decap(key.private, enc))


class ReferenceHybrid(Kem):
    """MLKEM768-P256 (0x0050) and MLKEM1024-P384 (0x0051): ss = SHA3-256(ssM ‖ ssT ‖ ctT ‖ pkT ‖ label)."""

    rule = "hpke-pq"
    secret_length = 32
    private_length = 32

    def __init__(self, number: int, name: str, bits: Literal[768, 1024], curve: Curve) -> None:
        self.id = number
        self.name = name
        self.lattice = ReferenceMlKem(bits)
        self.curve = curve
        self.public_length = self.lattice.public_length + curve.point_length
        self.enc_length = self.lattice.enc_length + curve.point_length

    def _scalar(self, seed: bytes) -> ec.EllipticCurvePrivateKey:
        candidates = (seed[i : i + self.curve.size] for i in range(0, len(seed), self.curve.size))
        return self.curve.private(next(scalar for scalar in candidates if self.curve.has(scalar)))

    def _load(self, private: Secret) -> KemKey:
        expanded = hashlib.shake_256(private).digest(64 + 3 * self.curve.size)
        scalar = self._scalar(expanded[64:])
        public = self.lattice.public(expanded[:64]) + self.curve.point(scalar)
        return KemKey(self, private, public, (expanded[:64], scalar))

    def _check_public(self, public: bytes) -> None:
        self.curve.public(public[self.lattice.public_length :])

    def _encap(self, public: bytes) -> tuple[Secret, bytes]:
        return self.encap_from(public, Secret.random(32 + 3 * self.curve.size))

    def encap_from(self, public: bytes, seed: bytes) -> tuple[Secret, bytes]:
        point = public[self.lattice.public_length :]
        ephemeral = self._scalar(seed[32:])
        shared, enc = self.lattice.encap_from(public[: self.lattice.public_length], seed[:32])
        mine = self.curve.point(ephemeral)
        agreed = ephemeral.exchange(ec.ECDH(), self.curve.public(point))
        return self._combine(shared, agreed, mine, point), enc + mine

    def _decap(self, key: KemKey, enc: bytes) -> Secret:
        seed, scalar = key.parts
        assert isinstance(seed, bytes)
        assert isinstance(scalar, ec.EllipticCurvePrivateKey)
        point = enc[self.lattice.enc_length :]
        shared = self.lattice.decap(seed, enc[: self.lattice.enc_length])
        agreed = scalar.exchange(ec.ECDH(), self.curve.public(point))
        return self._combine(shared, agreed, point, key.public[self.lattice.public_length :])

    def _combine(self, lattice: bytes, agreed: bytes, enc: bytes, public: bytes) -> Secret:
        return Secret(hashlib.sha3_256(lattice + agreed + enc + public + self.name.encode()).digest())


def xwing_encap(public: bytes, seed: bytes) -> tuple[bytes, bytes]:
    """X-Wing's EncapsulateDerand: seed = m ‖ the ephemeral X25519 key."""
    shared, enc = MlKemReference(768).encap(public[:1184], seed[:32])
    ephemeral = x25519.X25519PrivateKey.from_private_bytes(seed[32:])
    mine, theirs = ephemeral.public_key().public_bytes_raw(), public[1184:]
    agreed = ephemeral.exchange(x25519.X25519PublicKey.from_public_bytes(theirs))
    return hashlib.sha3_256(shared + agreed + mine + theirs + bytes.fromhex("5c2e2f2f5e5c")).digest(), enc + mine


MLKEM512: Final = ReferenceMlKem(512)
MLKEM768_P256: Final = ReferenceHybrid(0x0050, "MLKEM768-P256", 768, curves.P256)
MLKEM1024_P384: Final = ReferenceHybrid(0x0051, "MLKEM1024-P384", 1024, curves.P384)
