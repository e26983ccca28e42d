"""Every rule of RFC 9420 that is checked here, by number: what a refusal cites, and what the table in README.md lists.

A rule's number is its section and its place in it: ``RFC 9420 §12.2 #4`` is the fourth rule of §12.2, counted here as
the RFC doesn't number its sentences. The numbers are stable: tests, logs and other people's bug reports cite them. What
this engine bounds by itself, where the RFC asks for a bound or leaves room for one, has numbers of its own.

A rule that is broken travels as ``fault.rule``; `held_to` gives it to a fault that comes from further down and knows
bytes and keys only.
"""

from __future__ import annotations

from enum import StrEnum
from types import TracebackType
from typing import Self

from securechan.errors import SecurechanError


class Rule(StrEnum):
    """A rule's number; ``text`` says it in one sentence."""

    text: str

    def __new__(cls, number: str, text: str) -> Self:
        made = str.__new__(cls, number)
        made._value_ = number
        made.text = text
        return made

    # §5, §6: framing
    KEY_OF_SUITE = "RFC 9420 §5.1.1 #1", "a public key is one of its scheme"
    END_ENTITY = "RFC 9420 §5.3 #1", "the first certificate of a chain is about the leaf's signature key"
    PARSES = "RFC 9420 §6 #1", "a message parses, wholly and strictly (§2.1)"
    TO_A_GROUP = "RFC 9420 §6 #2", "what a group takes is a PublicMessage or a PrivateMessage"
    GROUP_ID = "RFC 9420 §6 #3", "a message is of the group that takes it"
    SEALED_DATA = "RFC 9420 §6 #4", "application data travels as PrivateMessage only"
    SIGNED = "RFC 9420 §6.1 #1", "a message is signed with the key that its sender's type names"
    MEMBER_SENDS = "RFC 9420 §6.1 #2", "a sender of type member has a leaf"
    SENDER_IS_LISTED = "RFC 9420 §6.1 #3", "a sender of type external stands in external_senders"
    EXTERNAL_PROPOSES = "RFC 9420 §6.1 #4", "a sender of type external sends proposals"
    NEWCOMER_PROPOSES = "RFC 9420 §6.1 #5", "a sender of type new_member_proposal sends an Add"
    NEWCOMER_COMMITS = "RFC 9420 §6.1 #6", "a sender of type new_member_commit sends commits"
    MEMBERSHIP_TAG = "RFC 9420 §6.2 #1", "a member's PublicMessage has the epoch's membership tag"
    CONTENT_OPENS = "RFC 9420 §6.3.1 #1", "a PrivateMessage opens with its sender's key"
    CONTENT_PARSES = "RFC 9420 §6.3.1 #2", "what was sealed parses"
    PADDING = "RFC 9420 §6.3.1 #3", "padding is all zero"
    SENDER_OPENS = "RFC 9420 §6.3.2 #1", "the sender data of a PrivateMessage opens and parses"
    SENDER_HAS_LEAF = "RFC 9420 §6.3.2 #2", "sender data names a leaf that isn't blank"

    # §7: the tree
    UNMERGED_ORDER = "RFC 9420 §7.1 #1", "unmerged leaves are listed in increasing order"
    LISTS_CREDENTIAL = "RFC 9420 §7.2 #1", "a leaf's capabilities list its own credential type"
    TOTAL_LIFETIME = "RFC 9420 §7.2 #2", "a leaf's whole lifetime isn't longer than the application allows"
    LEAF_SIGNED = "RFC 9420 §7.3 #1", "a leaf is signed with its own key"
    REQUIRED_EXTENSION = "RFC 9420 §7.3 #2", "a leaf supports the extensions that required_capabilities lists"
    REQUIRED_PROPOSAL = "RFC 9420 §7.3 #3", "a leaf supports the proposals that required_capabilities lists"
    REQUIRED_CREDENTIAL = "RFC 9420 §7.3 #4", "a leaf supports the credentials that required_capabilities lists"
    CREDENTIAL_FOR_ALL = "RFC 9420 §7.3 #5", "all members support all credential types in use"
    LIFETIME = "RFC 9420 §7.3 #6", "a leaf that is sent is within its lifetime"
    LISTS_EXTENSIONS = "RFC 9420 §7.3 #7", "a leaf's capabilities list its own extensions"
    SOURCE_KEY_PACKAGE = "RFC 9420 §7.3 #8", "the leaf of a key package has the source key_package"
    SOURCE_UPDATE = "RFC 9420 §7.3 #9", "the leaf of an Update has the source update"
    FRESH_KEY = "RFC 9420 §7.3 #10", "an Update brings another encryption key"
    SOURCE_COMMIT = "RFC 9420 §7.3 #11", "the leaf of a path has the source commit"
    SIGNATURE_KEYS = "RFC 9420 §7.3 #12", "no two members have one signature key"
    ENCRYPTION_KEYS = "RFC 9420 §7.3 #13", "no two members have one encryption key"
    LISTS_VERSION = "RFC 9420 §7.3 #14", "a leaf's capabilities list the group's version"
    LISTS_SUITE = "RFC 9420 §7.3 #15", "a leaf's capabilities list the group's cipher suite"
    PATH_SECRET_FITS = "RFC 9420 §7.4 #1", "a path secret makes the key pairs that the tree shows"
    PATH_SECRET_OPENS = "RFC 9420 §7.5 #1", "a path holds a secret that opens with a key of each member below"
    PATH_LENGTH = "RFC 9420 §7.6 #1", "a path has a node for each node of the filtered direct path"
    PATH_RECIPIENTS = "RFC 9420 §7.6 #2", "each node of a path has a secret for each node of the resolution beside it"
    PARENT_HASHES = "RFC 9420 §7.9.2 #1", "every parent of a joiner's tree is parent-hash valid"
    PARENT_HASH = "RFC 9420 §7.9.2 #2", "the parent hash of a committer's leaf is that of its path"

    # §8, §9, §15: keys
    LAST_EPOCH = "RFC 9420 §8.1 #1", "the epoch increments by one, in 64 bits"
    EXTERNAL_INIT_OPENS = "RFC 9420 §8.3 #1", "the KEM output of an ExternalInit opens"
    PSK_HELD = "RFC 9420 §8.4 #1", "a commit's pre-shared keys are held"
    KEY_UNUSED = "RFC 9420 §9.1 #1", "a key seals one message"
    TOO_FAR_AHEAD = "RFC 9420 §15.3 #1", "a generation isn't too far ahead of the last one seen"

    # §10: key packages
    PACKAGE_SUITE = "RFC 9420 §10.1 #1", "a key package is of the group's version and cipher suite"
    PACKAGE_SIGNED = "RFC 9420 §10.1 #2", "a key package is signed with the key of its leaf"
    INIT_KEY = "RFC 9420 §10.1 #3", "a key package's init key isn't its encryption key"

    # §11: groups that come of groups
    BEST_SUITE = "RFC 9420 §11 #1", "a new group has the best cipher suite that all its first members support"
    REQUIREMENTS_PARSE = "RFC 9420 §11.1 #1", "a required_capabilities extension parses"
    REINIT_GROUP_ID = "RFC 9420 §11.2 #1", "the group after a ReInit has the group id that the ReInit names"
    REINIT_VERSION = "RFC 9420 §11.2 #2", "the group after a ReInit has the version that the ReInit names"
    REINIT_SUITE = "RFC 9420 §11.2 #3", "the group after a ReInit has the cipher suite that the ReInit names"
    REINIT_EXTENSIONS = "RFC 9420 §11.2 #4", "the group after a ReInit has the extensions that the ReInit names"
    REINIT_LINKED = "RFC 9420 §11.2 #5", "the Welcome to the group after a ReInit names the old group's last epoch"
    REINIT_ENDED = "RFC 9420 §11.2 #6", "a key of usage reinit is of a group whose last commit was a ReInit"
    REINIT_MEMBERS = "RFC 9420 §11.2 #7", "the group after a ReInit has all members of the old one"
    SILENT = "RFC 9420 §11.2 #8", "a group that was re-initialised takes nothing more"
    BRANCH_SUITE = "RFC 9420 §11.3 #1", "a branch has the version and cipher suite of its group"
    BRANCH_MEMBERS = "RFC 9420 §11.3 #2", "every member of a branch is a member of its group"

    # §12.1: proposals
    UPDATE_BY_MEMBER = "RFC 9420 §12.1.2 #1", "only members update their leaves"
    REMOVES_A_MEMBER = "RFC 9420 §12.1.3 #1", "a Remove names a leaf that isn't blank"
    PSK_REINIT = "RFC 9420 §12.1.4 #1", "a key of usage reinit founds the group after a ReInit and serves nothing else"
    PSK_BRANCH = "RFC 9420 §12.1.4 #2", "a key of usage branch founds a subgroup and serves nothing else"
    PSK_NONCE = "RFC 9420 §12.1.4 #3", "the nonce of a pre-shared key has Nh bytes"
    REINIT_NOT_OLDER = "RFC 9420 §12.1.5 #1", "a ReInit names no older version"
    EXTERNAL_INIT_PLACE = "RFC 9420 §12.1.6 #1", "an ExternalInit stands in external commits only"
    ALL_CAPABLE = "RFC 9420 §12.1.7 #1", "all members support what GroupContextExtensions requires"
    EXTERNAL_TYPES = (
        "RFC 9420 §12.1.8 #1",
        "an external sender proposes Add, Remove, PreSharedKey, ReInit or extensions",
    )
    SENDERS_PARSE = "RFC 9420 §12.1.8.1 #1", "an external_senders extension parses"

    # §12.2: lists of proposals
    OWN_UPDATE = "RFC 9420 §12.2 #2", "no commit takes up its committer's Update"
    OWN_REMOVE = "RFC 9420 §12.2 #3", "no commit removes its committer"
    ONE_CHANGE_A_LEAF = "RFC 9420 §12.2 #4", "a leaf is updated or removed once"
    ADDED_ONCE = "RFC 9420 §12.2 #5", "no client is added twice"
    NOT_A_MEMBER = "RFC 9420 §12.2 #6", "no member is added again"
    PSK_ONCE = "RFC 9420 §12.2 #7", "no pre-shared key comes twice"
    ONE_CONTEXT = "RFC 9420 §12.2 #8", "the extensions of the context change once"
    REINIT_ALONE = "RFC 9420 §12.2 #9", "a ReInit is alone"
    NO_EXTERNAL_INIT = "RFC 9420 §12.2 #10", "a member's commit has no ExternalInit"
    ONE_EXTERNAL_INIT = "RFC 9420 §12.2 #11", "an external commit has one ExternalInit"
    ONE_REMOVE = "RFC 9420 §12.2 #12", "an external commit has at most one Remove"
    EXTERNAL_LIST = "RFC 9420 §12.2 #13", "an external commit has ExternalInit, Remove and PreSharedKey only"
    RESYNC_KEY = "RFC 9420 §12.2 #14", "who replaces its own leaf from outside brings another encryption key"

    # §12.4: commits
    PATH_REQUIRED = "RFC 9420 §12.4 #1", "a commit has the path that its proposals require"
    COMMIT_FIRST = "RFC 9420 §12.4 #2", "nobody sends application data while a proposal waits"
    REFERENCE_KNOWN = "RFC 9420 §12.4.2 #1", "a commit refers to proposals of its epoch"
    COMMITTER_KEY = "RFC 9420 §12.4.2 #2", "a path brings another encryption key for its committer"
    PATH_KEYS = "RFC 9420 §12.4.2 #3", "no key of a path stands in the tree, nor twice in the path"
    CONFIRMED = "RFC 9420 §12.4.2 #4", "the confirmation tag is that of the epoch derived"

    # §12.4.3: joining
    GROUP_ID_UNIQUE = "RFC 9420 §12.4.3 #1", "a joiner isn't in a group of that id already"
    INFO_SIGNER = "RFC 9420 §12.4.3 #2", "the signer of a GroupInfo is a member"
    INFO_SIGNED = "RFC 9420 §12.4.3 #3", "a GroupInfo is signed by its signer"
    WELCOME_FOR_ME = "RFC 9420 §12.4.3.1 #1", "a Welcome has secrets for the key package"
    WELCOME_SUITE = "RFC 9420 §12.4.3.1 #2", "a Welcome is of the key package's cipher suite"
    SECRETS_OPEN = "RFC 9420 §12.4.3.1 #3", "the secrets of a Welcome open and parse"
    WELCOME_PSK_HELD = "RFC 9420 §12.4.3.1 #4", "a Welcome's pre-shared keys are held"
    ONE_LINK = "RFC 9420 §12.4.3.1 #5", "a key of usage reinit or branch is the only such one"
    INFO_OPENS = "RFC 9420 §12.4.3.1 #6", "the GroupInfo of a Welcome opens and parses"
    INFO_SUITE = "RFC 9420 §12.4.3.1 #7", "a GroupInfo is of the key package's version and cipher suite"
    TREE_HASH = "RFC 9420 §12.4.3.1 #8", "the tree is the one that the GroupInfo names"
    UNMERGED_BELOW = "RFC 9420 §12.4.3.1 #9", "unmerged leaves are members below"
    UNMERGED_BETWEEN = "RFC 9420 §12.4.3.1 #10", "an unmerged leaf is listed by all parents between"
    PARENT_KEYS = "RFC 9420 §12.4.3.1 #11", "a parent's encryption key stands nowhere else in the tree"
    MY_LEAF = "RFC 9420 §12.4.3.1 #12", "the tree holds the leaf of the key package"
    MY_KEYS = "RFC 9420 §12.4.3.1 #13", "the private keys are those of the key package"
    PATH_SECRET_PLACE = (
        "RFC 9420 §12.4.3.1 #14",
        "a Welcome's path secret is of the lowest node over inviter and joiner",
    )
    WELCOME_CONFIRMED = "RFC 9420 §12.4.3.1 #15", "a GroupInfo has the confirmation tag of the epoch derived"
    FIRST_EPOCH = "RFC 9420 §12.4.3.1 #16", "a group that comes of another is joined in epoch 1"
    EXTERNAL_PUB = "RFC 9420 §12.4.3.2 #1", "a GroupInfo that invites has an external_pub, and it parses"
    EXTERNAL_PATH = "RFC 9420 §12.4.3.2 #2", "an external commit has a path"
    EXTERNAL_BY_VALUE = "RFC 9420 §12.4.3.2 #3", "an external commit refers to nothing"
    TREE_GIVEN = "RFC 9420 §12.4.3.3 #1", "a joiner has the ratchet tree, and it parses"
    TREE_ENDS = "RFC 9420 §12.4.3.3 #2", "a ratchet tree ends with a node that isn't blank"
    TREE_KINDS = "RFC 9420 §12.4.3.3 #3", "leaves stand at even places, parents at odd ones"

    # §13: extensions
    ONE_OF_A_TYPE = "RFC 9420 §13.4 #1", "an extension type stands once in a list"
    CONTEXT_SUPPORTED = "RFC 9420 §13.4 #2", "a leaf supports every extension of the group context"
    JOINER_SUPPORTS = "RFC 9420 §13.4 #3", "a joiner itself supports every extension of the group context"

    # bounds of this engine
    LEAVES = "securechan/mls bound #1", "a tree has at most 131,072 leaves"
    PROPOSALS = "securechan/mls bound #2", "at most 1,024 proposals wait for a commit"


class held_to:  # noqa: N801 - a word of a sentence: with held_to(Rule.SIGNED): …
    """Whatever is raised inside breaks this rule, unless it names a rule of this table itself."""

    __slots__ = ("rule",)

    def __init__(self, rule: Rule) -> None:
        self.rule = rule

    def __enter__(self) -> None:
        return None

    def __exit__(
        self, kind: type[BaseException] | None, fault: BaseException | None, trace: TracebackType | None
    ) -> None:
        if isinstance(fault, SecurechanError) and not isinstance(fault.rule, Rule):
            fault.rule = self.rule
