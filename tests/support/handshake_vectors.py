"""The handshake a second time, in nothing but hashlib, hmac and one AES-GCM: what the test vectors are made by.

Written from the protocol's text and sharing no key schedule and no format code with ``securechan.wire``, so that the
vectors convict the code rather than repeat it. KEM and signatures are the house's own (they have vectors of their own).

    python -m tests.support.handshake_vectors            recompute everything from the file's inputs: no change
    python -m tests.support.handshake_vectors --new      draw new inputs

An encapsulation and a hedged signature can't be made twice; so they are inputs, and everything else follows from them
and the private keys.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import secrets
import sys
from pathlib import Path
from typing import Any, Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from securechan.crypto.contexts import HANDSHAKE
from securechan.crypto.kem import MLKEM768_X25519 as KEM
from securechan.crypto.signature import COMPOSITE

FILE: Final = Path(__file__).resolve().parents[1] / "vectors" / "handshake.json"

Values = dict[str, Any]


def extract(salt: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt, ikm, "sha384")


def expand(prk: bytes, info: bytes, length: int) -> bytes:
    out, block, counter = b"", b"", 1
    while len(out) < length:
        block = hmac.digest(prk, block + info + bytes([counter]), "sha384")
        out += block
        counter += 1
    return out[:length]


def sha(*parts: bytes) -> bytes:
    return hashlib.sha384(b"".join(parts)).digest()


def vector(data: bytes) -> bytes:
    """``opaque<V>``: RFC 9420 §2.1.2."""
    size = len(data)
    if size < 64:
        return bytes([size]) + data
    return (size | 0x4000).to_bytes(2, "big") + data if size < 16384 else (size | 0x80000000).to_bytes(4, "big") + data


def seal(key_iv: bytes, number: int, aad: bytes | None, text: bytes) -> bytes:
    nonce = (int.from_bytes(key_iv[32:44], "big") ^ number).to_bytes(12, "big")
    return AESGCM(key_iv[:32]).encrypt(nonce, text, aad)


def limits(numbers: list[int]) -> bytes:
    return b"".join(n.to_bytes(2 if place == 3 else 4, "big") for place, n in enumerate(numbers))


def lane(session: bytes, label: bytes) -> tuple[bytes, bytes, bytes]:
    """(secret, key ‖ iv, next secret) of a lane's first keys."""
    secret = expand(session, label, 48)
    return secret, expand(secret, b"key", 32) + expand(secret, b"iv", 12), expand(secret, b"rekey", 48)


def proof(given: Values, h2: bytes) -> bytes:
    """The content of box3."""
    match given["kind"]:
        case "device":
            trust = given["trust"]["sequence"].to_bytes(8, "big") + bytes.fromhex(given["trust"]["chain"])
            name = vector(given["device"].encode())
            return b"\x01" + name + bytes.fromhex(given["public"]) + trust + bytes.fromhex(given["signature"])
        case "guest":
            mac = hmac.digest(bytes.fromhex(given["mac_key"]), HANDSHAKE + h2, "sha384")
            return b"\x02" + bytes.fromhex(given["box"]) + mac
        case _:
            name = vector(given["role"].encode()) + vector(given["key_id"].encode())
            return b"\x03" + name + bytes.fromhex(given["public"]) + bytes.fromhex(given["signature"])


def up_to_h2(given: Values) -> dict[str, bytes]:
    """Everything that comes before the client signs."""
    relay = KEM.load(bytes.fromhex(given["relay_private"]))
    ephemeral = KEM.load(bytes.fromhex(given["ephemeral_private"]))
    ct_r, ct_e = bytes.fromhex(given["ct_r"]), bytes.fromhex(given["ct_e"])
    v: dict[str, bytes] = {"pk_r": relay.public, "pk_e": ephemeral.public}
    v["key_id"] = sha(relay.public)[:16]
    v["ss_r"], v["ss_e"] = bytes(KEM.decap(relay, ct_r)), bytes(KEM.decap(ephemeral, ct_e))
    v["p0"] = sha(b"securechan/1 hs", bytes.fromhex(given["root_id"]), given["relay_name"].encode(), relay.public)
    untagged = b"\x01\x00\x01" + v["key_id"] + bytes.fromhex(given["n_c"]) + ephemeral.public + ct_r
    v["h1"] = sha(v["p0"], untagged)
    v["s1"] = extract(v["p0"], v["ss_r"])
    v["tag"] = hmac.digest(expand(v["s1"], b"tag", 48), v["h1"], "sha384")[:32]
    v["H1"] = untagged + v["tag"]
    v["hello"] = v["H1"] + b"\x00"
    cookie = given["cookie"]
    made = cookie["now"].to_bytes(8, "big")
    address = bytes.fromhex(cookie["address"])
    about = b"securechan/1 cookie" + len(address).to_bytes(2, "big") + address + made + v["H1"]
    v["cookie"] = made + hmac.digest(bytes.fromhex(cookie["secret"]), about, "sha384")[:32]
    v["retry"] = b"\x01" + vector(v["cookie"])
    v["hello_with_cookie"] = v["H1"] + vector(v["cookie"])
    v["h1_prime"] = sha(v["h1"], bytes.fromhex(given["n_r"]), ct_e)
    v["s2"] = extract(expand(v["s1"], b"next", 48), v["ss_e"])
    v["k_c"] = expand(v["s2"], b"c hs" + v["h1_prime"], 44)
    v["k_r"] = expand(v["s2"], b"r hs" + v["h1_prime"], 44)
    welcome = limits(given["limits"]) + given["relay_time"].to_bytes(8, "big")
    v["box2"] = seal(v["k_r"], 0, v["h1_prime"], welcome)
    v["h2"] = sha(v["h1_prime"], v["box2"])
    v["H2"] = b"\x00" + bytes.fromhex(given["n_r"]) + ct_e + vector(v["box2"])
    return v


def values(given: Values) -> dict[str, str]:
    """Every intermediate value and message of one handshake, hex."""
    v = up_to_h2(given)
    v["proof"] = proof(given["credential"], v["h2"])
    v["H3"] = seal(v["k_c"], 0, v["h2"], v["proof"].ljust(6144, b"\0"))
    v["h3"] = sha(v["h2"], v["H3"])
    v["H4"] = seal(v["k_r"], 1, v["h3"], (b"\x00" + v["h3"] + limits(given["session_limits"])).ljust(512, b"\0"))
    denied = b"\x01\x01" + (0).to_bytes(4, "big") + vector(b"no such device")
    v["H4_denied"] = seal(v["k_r"], 1, v["h3"], denied.ljust(512, b"\0"))
    v["session"] = expand(v["s2"], b"session" + v["h3"], 48)
    v["c_secret"], v["c_key_iv"], v["c_next"] = lane(v["session"], b"c")
    v["r_secret"], v["r_key_iv"], v["r_next"] = lane(v["session"], b"r")
    ping = b"\x01" + (7).to_bytes(4, "big") + b"\x10"  # Request 7: Ping
    done = b"\x02" + (7).to_bytes(4, "big") + b"\x00"  # Answer 7: Done
    bye = b"\x05\x00"
    v["c_record_0"] = seal(v["c_key_iv"], 0, None, (b"\x00" + vector(ping)).ljust(256, b"\0"))
    v["r_record_0"] = seal(v["r_key_iv"], 0, None, (b"\x00" + vector(done)).ljust(256, b"\0"))
    v["c_record_1_rekeys"] = seal(v["c_key_iv"], 1, None, (b"\x01" + vector(ping)).ljust(256, b"\0"))
    second = expand(v["c_next"], b"key", 32) + expand(v["c_next"], b"iv", 12)
    v["c_record_2_bye"] = seal(second, 0, None, (b"\x00" + vector(bye)).ljust(256, b"\0"))
    return {name: value.hex() for name, value in v.items()}


def draw(kind: str) -> Values:
    """New inputs for one handshake."""
    relay = KEM.load(secrets.token_bytes(32))
    ephemeral = KEM.load(secrets.token_bytes(32))
    given: Values = {
        "root_id": secrets.token_hex(48),
        "relay_name": "relay-1",
        "relay_private": relay.private.hex(),
        "ephemeral_private": ephemeral.private.hex(),
        "n_c": secrets.token_hex(32),
        "n_r": secrets.token_hex(32),
        "ct_r": KEM.encap(relay.public)[1].hex(),
        "ct_e": KEM.encap(ephemeral.public)[1].hex(),
        "relay_time": 1_795_000_000_123,
        "now": 1_795_000_001,
        "limits": [2 << 20, (4 << 20) + 16, 64 << 20, 64, 600, 1 << 20, 180, 86400],
        "session_limits": [2 << 20, (4 << 20) + 16, 64 << 20, 32, 300, 1 << 19, 120, 43200],
        "cookie": {"secret": secrets.token_hex(32), "address": "7f000001", "now": 1_795_000_000},
    }
    private, public = COMPOSITE.generate()
    h2 = up_to_h2(given)["h2"]
    signature = COMPOSITE.sign(private, HANDSHAKE, h2).hex()
    signer = {"private": private.hex(), "public": public.hex(), "signature": signature}
    credential: Values
    match kind:
        case "device":
            trust = {"sequence": 114, "chain": secrets.token_hex(48)}
            credential = {"kind": kind, "device": "cert-hr/liaison-1-laptop", "trust": trust, **signer}
        case "guest":
            credential = {"kind": kind, "box": secrets.token_hex(32), "mac_key": secrets.token_hex(32)}
        case _:
            credential = {"kind": kind, "role": "cert-hr", "key_id": sha(public).hex(), **signer}
    given["credential"] = credential
    return given


def main() -> None:
    if "--new" in sys.argv[1:]:
        inputs = [draw(kind) for kind in ("device", "guest", "office")]
    else:
        inputs = [case["given"] for case in json.loads(FILE.read_bytes())]
    cases = [{"given": given, "values": values(given)} for given in inputs]
    FILE.write_text(json.dumps(cases, indent=1) + "\n")


if __name__ == "__main__":
    main()
