// ts-mls behind a pipe: the driver protocol of tests/interop/driver.py, spoken by npm's ts-mls 1.6.4.
//
// JSON lines: one request a line on stdin, one answer a line on stdout, in order. `cpu` in an answer is what the command
// took, in CPU seconds of this process, all its threads. Written for this project's mixed groups; it hands out private keys to whoever asks.
//
// What ts-mls does its own way, and what is done about it here (the walks know of the rest, see tests/interop/sides.py):
//
// - It numbers its post-quantum suites 77..88, which other drafts use otherwise. Its table of numbers is public and is
//   read at each use, so the numbers of the private-use range are written into it, and go on the wire.
// - It writes the external_pub extension without HPKEPublicKey's inner length (RFC 9420 §12.4.3.1: the extension holds a
//   struct ExternalPub, its key a vector <V>), and expects others to do the same. `group_info` writes the extension as
//   the RFC has it and signs that; `external_join` takes the inner length off where ts-mls imports the key.
// - It makes no Update proposals by itself: the leaf is made here from its parts, and the new private key is put in
//   place when a commit takes the proposal up.
// - It is never told which of its key packages a Welcome is for, so the references are compared here.

import readline from "node:readline"
import process from "node:process"
import * as mls from "ts-mls"
import { encode } from "ts-mls/codec/tlsEncoder.js"
import { varLenDataEncoder, decodeVarLenData } from "ts-mls/codec/variableLength.js"
import { createGroupInfo } from "ts-mls/createCommit.js"
import { protectExternalProposalPublic } from "ts-mls/messageProtectionPublic.js"
import { ValidationError } from "ts-mls/mlsError.js"
import { makeKeyPackageRef } from "ts-mls/keyPackage.js"
import { leafNodeTBSEncoder } from "ts-mls/leafNode.js"
import { signWithLabel } from "ts-mls/crypto/signature.js"
import { updateLeafKey } from "ts-mls/privateKeyPath.js"
import { encodeRatchetTree, decodeRatchetTree } from "ts-mls/ratchetTree.js"

const SUITES = {
  0x0001: "MLS_128_DHKEMX25519_AES128GCM_SHA256_Ed25519",
  0xf00d: "MLS_256_XWING_AES256GCM_SHA512_Ed25519",
  0xf00e: "MLS_256_XWING_CHACHA20POLY1305_SHA512_Ed25519",
  0xf00f: "MLS_256_MLKEM1024_AES256GCM_SHA512_MLDSA87",
  0xf011: "MLS_256_XWING_AES256GCM_SHA512_MLDSA87",
}
const parts = Object.fromEntries(
  Object.entries(SUITES).map(([number, name]) => [number, mls.getCiphersuiteFromName(name)]),
)
for (const [number, name] of Object.entries(SUITES)) mls.ciphersuites[name] = Number(number)

const hex = (bytes) => Buffer.from(bytes).toString("hex")
const raw = (text) => new Uint8Array(Buffer.from(text, "hex"))
const text = new TextEncoder()
const config = {
  keyRetentionConfig: { retainKeysForGenerations: 1000, retainKeysForEpochs: 4, maximumForwardRatchetSteps: 1000 },
  lifetimeConfig: mls.defaultLifetimeConfig,
  keyPackageEqualityConfig: mls.defaultKeyPackageEqualityConfig,
  paddingConfig: mls.defaultPaddingConfig,
  authService: mls.defaultAuthenticationService,
}

function seconds(since) {
  const { user, system } = process.cpuUsage(since)
  return (user + system) / 1e6
}

const suites = new Map() // number → implementation
const packages = new Map() // handle → {public, private, suite, signature}
const seats = new Map() // handle → {state, suite, update, pending}
const psks = {} // base64 id → key
let made = 0

class Unsupported extends Error {}
class NotFound extends Error {}

async function suiteOf(number) {
  if (!(number in parts)) throw new NotFound(`no suite 0x${Number(number).toString(16)} here`)
  if (!suites.has(number)) suites.set(number, await mls.getCiphersuiteImpl(parts[number]))
  return suites.get(number)
}

function chosen(held, name, what) {
  if (held.size === 0) throw new NotFound(`there is no ${what} yet`)
  if (name === undefined || name === null) return [...held.values()].at(-1)
  if (!held.has(name)) throw new NotFound(`there is no ${what} ${name}`)
  return held.get(name)
}

const seatOf = (request) => chosen(seats, request.group, "group")

function message(bytes, wireformat) {
  const decoded = mls.decodeMlsMessage(bytes, 0)
  if (decoded === undefined || decoded[1] !== bytes.length) throw new ValidationError("not one MLSMessage")
  if (wireformat !== undefined && decoded[0].wireformat !== wireformat) throw new TypeError(`not a ${wireformat}`)
  return decoded[0]
}

const wire = (body) => hex(mls.encodeMlsMessage({ version: "mls10", ...body }))

function view({ state }) {
  return {
    epoch: Number(state.groupContext.epoch),
    epoch_authenticator: hex(state.keySchedule.epochAuthenticator),
    leaf: state.privatePath.leafIndex,
  }
}

function seated(seat) {
  const name = `g${++made}`
  seats.set(name, seat)
  return { group: name, ...view(seat) }
}

async function keyPackage({ suite: number, identity = "ts-mls", certificates, signature_priv: given, lifetime_days: days = 28 }) {
  const suite = await suiteOf(number)
  const now = BigInt(Math.floor(Date.now() / 1000))
  const lifetime = { notBefore: now - 3600n, notAfter: now + BigInt(days) * 86400n }
  const credential = certificates
    ? { credentialType: "x509", certificates: certificates.map(raw) }
    : { credentialType: "basic", identity: text.encode(identity) }
  const keys = given === undefined ? await suite.signature.keygen() : chosenKeys(given)
  const bundle = await mls.generateKeyPackageWithKey(credential, mls.defaultCapabilities(), lifetime, [], keys, suite)
  return { public: bundle.publicPackage, private: bundle.privatePackage, suite, keys }
}

/** ts-mls has no call from a private signature key to its public one: only keys it made itself are taken back. */
function chosenKeys(given) {
  for (const { keys } of packages.values()) if (hex(keys.signKey) === given) return keys
  throw new Unsupported("unsupported: a signature key that was made elsewhere")
}

function held(bundle) {
  const name = `k${++made}`
  packages.set(name, bundle)
  return name
}

const pskIndex = (state) => mls.makePskIndex(state, psks)

function pskProposal(suite, id) {
  const preSharedKeyId = { psktype: "external", pskId: raw(id), pskNonce: suite.rng.randomBytes(suite.kdf.size) }
  return { proposalType: "psk", psk: { preSharedKeyId } }
}

/** The resumption key of an epoch of the group itself. */
function resumptionProposal({ state, suite }, epoch) {
  const pskNonce = suite.rng.randomBytes(suite.kdf.size)
  const of = { psktype: "resumption", usage: "application", pskGroupId: state.groupContext.groupId, pskEpoch: BigInt(epoch) }
  return { proposalType: "psk", psk: { preSharedKeyId: { ...of, pskNonce } } }
}

const addProposal = (bytes) => ({
  proposalType: "add",
  add: { keyPackage: message(raw(bytes), "mls_key_package").keyPackage },
})
function contextProposal(wanted) {
  const names = { 3: "required_capabilities", 5: "external_senders" }
  const extensions = wanted.map(([type, data]) => ({ extensionType: names[type] ?? type, extensionData: raw(data) }))
  return { proposalType: "group_context_extensions", groupContextExtensions: { extensions } }
}
const removeProposal = (leaf) => ({ proposalType: "remove", remove: { removed: leaf } })

async function propose(request, proposal) {
  const seat = seatOf(request)
  const done = await mls.createProposal(seat.state, Boolean(request.public), proposal, seat.suite)
  seat.state = done.newState
  return { proposal: hex(mls.encodeMlsMessage(done.message)) }
}

async function updateProposal(seat) {
  const { state, suite } = seat
  const keys = await suite.hpke.generateKeyPair()
  const old = state.ratchetTree[state.privatePath.leafIndex * 2].leaf
  const leaf = {
    leafNodeSource: "update",
    hpkePublicKey: await suite.hpke.exportPublicKey(keys.publicKey),
    signaturePublicKey: old.signaturePublicKey,
    credential: old.credential,
    capabilities: old.capabilities,
    extensions: old.extensions,
  }
  const toSign = { ...leaf, groupId: state.groupContext.groupId, leafIndex: state.privatePath.leafIndex }
  const bytes = encode(leafNodeTBSEncoder)(toSign)
  const signature = await signWithLabel(state.signaturePrivateKey, "LeafNodeTBS", bytes, suite.signature)
  seat.update = { publicKey: leaf.hpkePublicKey, privateKey: await suite.hpke.exportPrivateKey(keys.privateKey) }
  return { proposalType: "update", update: { leafNode: { ...leaf, signature } } }
}

async function commit(request) {
  const seat = seatOf(request)
  const inside = request.ratchet_tree_in_welcome ?? true
  const done = await mls.createCommit(
    { state: seat.state, cipherSuite: seat.suite, pskIndex: pskIndex(seat.state) },
    {
      wireAsPublicMessage: Boolean(request.public),
      ratchetTreeExtension: inside,
      extraProposals: [
        ...(request.add ?? []).map(addProposal),
        ...(request.remove ?? []).map(removeProposal),
        ...(request.psk ?? []).map((id) => pskProposal(seat.suite, id)),
        ...(request.resumption ?? []).map((epoch) => resumptionProposal(seat, epoch)),
        ...(request.extensions === undefined ? [] : [contextProposal(request.extensions)]),
      ],
    },
  )
  const answer = { commit: hex(mls.encodeMlsMessage(done.commit)), welcome: null }
  if (done.welcome !== undefined) {
    answer.welcome = wire({ wireformat: "mls_welcome", welcome: done.welcome })
    if (!inside) answer.ratchet_tree = hex(encodeRatchetTree(done.newState.ratchetTree))
  }
  if (request.merge ?? true) {
    seat.state = done.newState
    seat.update = seat.pending = undefined
  } else seat.pending = done.newState
  return { ...answer, ...view(seat) }
}

/** A commit that may or may not take up this member's Update: which of its two keys counts shows only afterwards. */
async function followed({ state, update }, attempt) {
  const renewed = { ...state, privatePath: updateLeafKey(state.privatePath, update.privateKey) }
  let done
  try {
    done = await attempt(state)
  } catch {
    return attempt(renewed) // the path was sealed to the new key
  }
  const mine = done.newState.ratchetTree[state.privatePath.leafIndex * 2]
  const taken = mine !== undefined && hex(mine.leaf.hpkePublicKey) === hex(update.publicKey)
  return taken ? attempt(renewed) : done
}

async function processed(request) {
  const seat = seatOf(request)
  const bytes = raw(request.message)
  const start = process.cpuUsage()
  const received = message(bytes)
  const apart = received.wireformat === "mls_private_message"
  const body = apart ? received.privateMessage : received.publicMessage
  const type = apart ? body.contentType : body.content.contentType
  const step = apart ? mls.processPrivateMessage : mls.processPublicMessage
  const before = seat.state.groupContext.epoch
  const attempt = (state) => step(state, body, pskIndex(seat.state), seat.suite)
  const done = type === "commit" && seat.update !== undefined ? await followed(seat, attempt) : await attempt(seat.state)
  const cpu = seconds(start)
  seat.state = done.newState
  if (seat.state.groupActiveState.kind === "removedFromGroup") return { kind: "removed", ...view(seat) }
  if (done.kind === "applicationMessage")
    return {
      kind: "application",
      plaintext: hex(done.message),
      authenticated_data: hex(body.authenticatedData),
      ...view(seat),
    }
  if (seat.state.groupContext.epoch === before) return { kind: "proposal", ...view(seat) }
  seat.update = seat.pending = undefined
  return { kind: "commit", cpu, ...view(seat) }
}

/** A group info whose external_pub has the inner length that RFC 9420 gives it. */
async function groupInfo({ state, suite }, withTree) {
  const theirs = await mls.createGroupInfoWithExternalPub(state, [], suite)
  const key = theirs.extensions.find(({ extensionType }) => extensionType === "external_pub").extensionData
  const extensions = [{ extensionType: "external_pub", extensionData: encode(varLenDataEncoder)(key) }]
  if (withTree) extensions.push({ extensionType: "ratchet_tree", extensionData: encodeRatchetTree(state.ratchetTree) })
  return createGroupInfo(state.groupContext, state.confirmationTag, state, extensions, suite)
}

/** The suite as `joinGroupExternal` needs it: the key of an ExternalPub loses its inner length where it is imported. */
function unwrapping(suite, externalPub) {
  const importPublicKey = (key) =>
    suite.hpke.importPublicKey(key === externalPub ? decodeVarLenData(key, 0)[0] : key)
  return { ...suite, hpke: { ...suite.hpke, importPublicKey } }
}

const commands = {
  async hello() {
    return {
      name: "ts-mls",
      version: "1.6.4",
      suites: Object.keys(SUITES).map(Number),
      commands: Object.keys(commands),
      note: "commits of nothing but Adds or PSKs have no path",
    }
  },
  async create_key_package(request) {
    const bundle = await keyPackage(request)
    return {
      kp: held(bundle),
      key_package: wire({ wireformat: "mls_key_package", keyPackage: bundle.public }),
      init_priv: hex(bundle.private.initPrivateKey),
      encryption_priv: hex(bundle.private.hpkePrivateKey),
      signature_priv: hex(bundle.private.signaturePrivateKey),
    }
  },
  async create_group(request) {
    const bundle = request.kp === undefined ? await keyPackage(request) : chosen(packages, request.kp, "key package")
    const suite = bundle.suite
    const id = request.group_id === undefined ? suite.rng.randomBytes(32) : raw(request.group_id)
    const padding = request.padding === undefined ? config.paddingConfig : { kind: "alwaysPad", paddingLength: request.padding }
    const state = await mls.createGroup(id, bundle.public, bundle.private, [], suite, { ...config, paddingConfig: padding })
    return seated({ state, suite })
  },
  async join(request) {
    const { welcome } = message(raw(request.welcome), "mls_welcome")
    const bundle = request.kp === undefined ? await invited(welcome) : chosen(packages, request.kp, "key package")
    const { suite } = bundle
    const tree = request.ratchet_tree ? decodeRatchetTree(raw(request.ratchet_tree), 0)[0] : undefined
    if (request.parent !== undefined) {
      const old = chosen(seats, request.parent, "group").state
      const from = old.groupActiveState.kind === "active" ? mls.joinGroupFromBranch : mls.joinGroupFromReinit
      const by = from === mls.joinGroupFromBranch ? suite : provider(suite)
      return seated({ state: await from(old, welcome, bundle.public, bundle.private, tree, by), suite })
    }
    const index = pskIndex(undefined)
    const state = await mls.joinGroup(welcome, bundle.public, bundle.private, index, suite, tree, undefined, config)
    return seated({ state, suite })
  },
  async group_info(request) {
    const seat = seatOf(request)
    const info = request.as_ts_mls_has_it // for the test that shows the difference
      ? await mls.createGroupInfoWithExternalPubAndRatchetTree(seat.state, [], seat.suite)
      : await groupInfo(seat, request.with_tree ?? true)
    return { group_info: wire({ wireformat: "mls_group_info", groupInfo: info }) }
  },
  async external_join(request) {
    const bundle = request.kp === undefined ? await keyPackage(request) : chosen(packages, request.kp, "key package")
    const { groupInfo: info } = message(raw(request.group_info), "mls_group_info")
    const externalPub = info.extensions.find(({ extensionType }) => extensionType === "external_pub")?.extensionData
    const tree = request.ratchet_tree ? decodeRatchetTree(raw(request.ratchet_tree), 0)[0] : undefined
    const suite = unwrapping(bundle.suite, externalPub)
    const resync = Boolean(request.resync)
    const done = await mls.joinGroupExternal(info, bundle.public, bundle.private, resync, suite, tree, config)
    held(bundle)
    const commit = wire({ wireformat: "mls_public_message", publicMessage: done.publicMessage })
    return { ...seated({ state: done.newState, suite: bundle.suite }), commit }
  },
  propose_add: (request) => propose(request, addProposal(request.key_package)),
  propose_remove: (request) => propose(request, removeProposal(request.leaf)),
  propose_psk: (request) => propose(request, pskProposal(seatOf(request).suite, request.psk_id)),
  propose_update: async (request) => propose(request, await updateProposal(seatOf(request))),
  async external_propose_add(request) {
    const bundle = chosen(packages, request.kp, "key package")
    const { groupInfo: info } = message(raw(request.group_info), "mls_group_info")
    const done = await mls.proposeAddExternal(info, bundle.public, bundle.private, bundle.suite)
    return { proposal: hex(mls.encodeMlsMessage(done)) }
  },
  /** Of ts-mls's parts, since its own call looks the sender up in an extension of another form than RFC 9420's. */
  async external_propose(request) {
    const { groupContext } = message(raw(request.group_info), "mls_group_info").groupInfo
    const { suite, keys } = chosen(packages, request.kp, "key package")
    const proposal = request.add === undefined ? removeProposal(request.remove) : addProposal(request.add)
    const sender = { senderType: "external", senderIndex: request.index }
    const done = await protectExternalProposalPublic(keys.signKey, groupContext, new Uint8Array(), proposal, sender, suite)
    return { proposal: wire({ wireformat: "mls_public_message", publicMessage: done.publicMessage }) }
  },
  commit,
  add: (request) => commit({ ...request, add: request.key_packages }),
  remove: (request) => commit({ ...request, remove: request.leaves }),
  update: commit,
  async merge(request) {
    const seat = seatOf(request)
    if (seat.pending === undefined) throw new NotFound("no commit is pending")
    seat.state = seat.pending
    seat.update = seat.pending = undefined
    return view(seat)
  },
  async clear_pending(request) {
    seatOf(request).pending = undefined
    return {}
  },
  process: processed,
  decrypt: processed,
  async encrypt(request) {
    const seat = seatOf(request)
    const data = raw(request.authenticated_data ?? "")
    const done = await mls.createApplicationMessage(seat.state, raw(request.plaintext), seat.suite, data)
    seat.state = done.newState
    return { message: wire({ wireformat: "mls_private_message", privateMessage: done.privateMessage }) }
  },
  /** Many at once, for a bench: `cpu` is that of all. */
  async encrypt_all(request) {
    const seat = seatOf(request)
    const plaintexts = request.plaintexts.map(raw)
    const messages = []
    const start = process.cpuUsage()
    for (const plaintext of plaintexts) {
      const { newState, privateMessage } = await mls.createApplicationMessage(seat.state, plaintext, seat.suite)
      seat.state = newState
      messages.push(mls.encodeMlsMessage({ version: "mls10", wireformat: "mls_private_message", privateMessage }))
    }
    return { cpu: seconds(start), messages: messages.map(hex) }
  },
  async decrypt_all(request) {
    const seat = seatOf(request)
    const messages = request.messages.map(raw)
    const plaintexts = []
    const start = process.cpuUsage()
    for (const bytes of messages) {
      const { privateMessage } = message(bytes, "mls_private_message")
      const done = await mls.processPrivateMessage(seat.state, privateMessage, pskIndex(seat.state), seat.suite)
      seat.state = done.newState
      plaintexts.push(done.message)
    }
    return { cpu: seconds(start), plaintexts: plaintexts.map(hex) }
  },
  async export_secret(request) {
    const { state, suite } = seatOf(request)
    const context = raw(request.context ?? "")
    const secret = await mls.mlsExporter(state.keySchedule.exporterSecret, request.label, context, request.length, suite)
    return { secret: hex(secret) }
  },
  epoch_authenticator: async (request) => view(seatOf(request)),
  tree_hash: async (request) => ({ tree_hash: hex(seatOf(request).state.groupContext.treeHash) }),
  ratchet_tree: async (request) => ({ ratchet_tree: hex(encodeRatchetTree(seatOf(request).state.ratchetTree)) }),
  async members(request) {
    const members = []
    for (const [index, node] of seatOf(request).state.ratchetTree.entries())
      if (node?.nodeType === "leaf")
        members.push({
          leaf: index / 2,
          identity: Buffer.from(node.leaf.credential.identity ?? []).toString(), // none, where there is a chain
          signature_key: hex(node.leaf.signaturePublicKey),
        })
    return { members }
  },
  async reinit(request) {
    const seat = seatOf(request)
    const name = SUITES[request.suite] ?? seat.state.groupContext.cipherSuite
    const done = await mls.reinitGroup(seat.state, raw(request.group_id), "mls10", name, [], seat.suite)
    seat.state = done.newState
    return { commit: hex(mls.encodeMlsMessage(done.commit)), ...view(seat) }
  },
  async succeed(request) {
    const { state } = seatOf(request)
    const { reinit } = state.groupActiveState
    const bundle = chosen(packages, request.kp, "key package")
    const added = request.key_packages.map((each) => message(raw(each), "mls_key_package").keyPackage)
    const { groupId, cipherSuite, extensions } = reinit
    const mine = [bundle.public, bundle.private]
    const by = provider(bundle.suite)
    return founded(bundle.suite, await mls.reinitCreateNewGroup(state, ...mine, added, groupId, cipherSuite, extensions, by))
  },
  async branch(request) {
    const { state, suite } = seatOf(request)
    const bundle = chosen(packages, request.kp, "key package")
    const added = request.key_packages.map((each) => message(raw(each), "mls_key_package").keyPackage)
    return founded(suite, await mls.branchGroup(state, bundle.public, bundle.private, added, raw(request.group_id), suite))
  },
  async add_psk({ psk_id: id, psk }) {
    psks[mls.bytesToBase64(raw(id))] = raw(psk)
    return {}
  },
  async free(request) {
    for (const [map, name] of [[packages, request.kp], [seats, request.group]])
      if (name !== undefined && !map.delete(name)) throw new NotFound(`there is no handle ${name}`)
    return {}
  },
}

/** What ts-mls asks for the suite of a group after a ReInit: by its own number, which isn't in its table any more. */
const provider = (suite) => ({ getCiphersuiteImpl: async () => suite })

function founded(suite, { newState, welcome }) {
  const answer = { welcome: wire({ wireformat: "mls_welcome", welcome }), ratchet_tree: hex(encodeRatchetTree(newState.ratchetTree)) }
  return { ...seated({ state: newState, suite }), ...answer }
}

async function invited(welcome) {
  const wanted = new Set(welcome.secrets.map(({ newMember }) => hex(newMember)))
  for (const bundle of packages.values())
    if (wanted.has(hex(await makeKeyPackageRef(bundle.public, bundle.suite.hash)))) return bundle
  return chosen(packages, undefined, "key package")
}

async function answered(line) {
  let request
  try {
    request = JSON.parse(line)
    if (!Object.hasOwn(commands, request.cmd)) throw new Unsupported(`unsupported: ${request.cmd}`)
    const before = process.cpuUsage()
    const done = await commands[request.cmd](request)
    return { id: request.id, ok: true, cpu: seconds(before), ...done }
  } catch (fault) {
    return { id: request?.id ?? null, ok: false, error: String(fault.message), type: fault.constructor.name }
  }
}

for await (const line of readline.createInterface({ input: process.stdin })) {
  if (line.trim() === "") continue
  let quit = false
  try {
    quit = JSON.parse(line)?.cmd === "quit"
  } catch {
    // answered below as what it is: no request
  }
  if (quit) {
    console.log(JSON.stringify({ id: JSON.parse(line).id, ok: true }))
    process.exit(0)
  }
  console.log(JSON.stringify(await answered(line)))
}
