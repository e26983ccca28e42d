"""STIX 2.1 as tables: every object type with its properties, and the rules that bind several properties at once.

Source: OASIS STIX Version 2.1 (10 June 2021), §3 (common), §4 (SDOs), §5 (SROs), §6 (SCOs), §7 (meta objects). The
notation is `shape.Book`'s; ``@`` is a reference to any object, ``@a|b`` to objects of these types, ``@node`` to
anything that a relationship may join, ``@domain`` to what can be sighted. Vocabularies are open in STIX, so they are
plain strings.
"""

from __future__ import annotations

from typing import Final

_MARKS: Final = " object_marking_refs:[@marking-definition] granular_markings:[granular-marking] extensions:extensions"
_CREATED: Final = (
    "type!:type spec_version!:2.1 id!:id created!:time modified!:time created_by_ref:@identity revoked:bool"
    " labels:[str] confidence:percent lang external_references:[external-reference]" + _MARKS + " "
)
_OBSERVED: Final = "type!:type spec_version:2.1 id!:id defanged:bool" + _MARKS + " "
_PHASES: Final = " kill_chain_phases:[kill-chain-phase]"
_SEEN: Final = " first_seen:time last_seen:time"
_MOTIVES: Final = " goals:[str] resource_level primary_motivation secondary_motivations:[str]"

_DOMAIN: Final = {  # §4
    "attack-pattern": "name!:text description aliases:[str]" + _PHASES,
    "campaign": "name!:text description aliases:[str] objective" + _SEEN,
    "course-of-action": "name!:text description",
    "grouping": "name description context!:text object_refs!:[@]",
    "identity": "name!:text description roles:[str] identity_class sectors:[str] contact_information",
    "incident": "name!:text description",
    "indicator": "name description indicator_types:[str] pattern!:text pattern_type!:text pattern_version"
    " valid_from!:time valid_until:time" + _PHASES,
    "infrastructure": "name!:text description infrastructure_types:[str] aliases:[str]" + _PHASES + _SEEN,
    "intrusion-set": "name!:text description aliases:[str]" + _SEEN + _MOTIVES,
    "location": "name description latitude:latitude longitude:longitude precision:measure region country"
    " administrative_area city street_address postal_code",
    "malware": "name description malware_types:[str] is_family!:bool aliases:[str] operating_system_refs:[@software]"
    " architecture_execution_envs:[str] implementation_languages:[str] capabilities:[str]"
    " sample_refs:[@artifact|file]" + _PHASES + _SEEN,
    "malware-analysis": "product!:text version host_vm_ref:@software operating_system_ref:@software"
    " installed_software_refs:[@software] configuration_version modules:[str] analysis_engine_version"
    " analysis_definition_version submitted:time analysis_started:time analysis_ended:time result_name result"
    " analysis_sco_refs:[@] sample_ref:@artifact|file|network-traffic",
    "note": "abstract content!:text authors:[str] object_refs!:[@]",
    "observed-data": "first_observed!:time last_observed!:time number_observed!:tally objects:object object_refs:[@]",
    "opinion": "explanation authors:[str] opinion!:opinion object_refs!:[@]",
    "report": "name!:text description report_types:[str] published!:time object_refs!:[@]",
    "threat-actor": "name!:text description threat_actor_types:[str] aliases:[str] roles:[str] sophistication"
    " personal_motivations:[str]" + _SEEN + _MOTIVES,
    "tool": "name!:text description tool_types:[str] aliases:[str] tool_version" + _PHASES,
    "vulnerability": "name!:text description",
}

_RELATION: Final = {  # §5
    "relationship": "relationship_type!:relation description source_ref!:@node target_ref!:@node"
    " start_time:time stop_time:time",
    "sighting": "description count:sightings sighting_of_ref!:@domain observed_data_refs:[@observed-data]"
    " where_sighted_refs:[@identity|location] summary:bool" + _SEEN,
}

_ENDS: Final = "@ipv4-addr|ipv6-addr|mac-addr|domain-name"
_OBSERVABLE: Final = {  # §6
    "artifact": "mime_type payload_bin:base64 url hashes:hashes encryption_algorithm:encryption decryption_key",
    "autonomous-system": "number!:count name rir",
    "directory": "path!:text path_enc ctime:time mtime:time atime:time contains_refs:[@file|directory]",
    "domain-name": "value!:text resolves_to_refs:[@ipv4-addr|ipv6-addr|domain-name]",
    "email-addr": "value!:text display_name belongs_to_ref:@user-account",
    "email-message": "is_multipart!:bool date:time content_type from_ref:@email-addr sender_ref:@email-addr"
    " to_refs:[@email-addr] cc_refs:[@email-addr] bcc_refs:[@email-addr] message_id subject received_lines:[str]"
    " additional_header_fields:object body body_multipart:[email-part] raw_email_ref:@artifact",
    "file": "hashes:hashes size:count name name_enc magic_number_hex:hex mime_type ctime:time mtime:time atime:time"
    " parent_directory_ref:@directory contains_refs:[@] content_ref:@artifact",
    "ipv4-addr": "value!:ipv4 resolves_to_refs:[@mac-addr] belongs_to_refs:[@autonomous-system]",
    "ipv6-addr": "value!:ipv6 resolves_to_refs:[@mac-addr] belongs_to_refs:[@autonomous-system]",
    "mac-addr": "value!:mac",
    "mutex": "name!:text",
    "network-traffic": f"start:time end:time is_active:bool src_ref:{_ENDS} dst_ref:{_ENDS} src_port:port dst_port:port"
    " protocols!:[str] src_byte_count:count dst_byte_count:count src_packets:count dst_packets:count ipfix:object"
    " src_payload_ref:@artifact dst_payload_ref:@artifact encapsulates_refs:[@network-traffic]"
    " encapsulated_by_ref:@network-traffic",
    "process": "is_hidden:bool pid:integer created_time:time cwd command_line environment_variables:object"
    " opened_connection_refs:[@network-traffic] creator_user_ref:@user-account image_ref:@file parent_ref:@process"
    " child_refs:[@process]",
    "software": "name!:text cpe swid languages:[str] vendor version",
    "url": "value!:text",
    "user-account": "user_id credential account_login account_type display_name is_service_account:bool"
    " is_privileged:bool can_escalate_privs:bool is_disabled:bool account_created:time account_expires:time"
    " credential_last_changed:time account_first_login:time account_last_login:time",
    "windows-registry-key": "key values:[registry-value] modified_time:time creator_user_ref:@user-account"
    " number_of_subkeys:count",
    "x509-certificate": "is_self_signed:bool hashes:hashes version serial_number signature_algorithm issuer"
    " validity_not_before:time validity_not_after:time subject subject_public_key_algorithm"
    " subject_public_key_modulus subject_public_key_exponent:integer x509_v3_extensions:object",
}

_META: Final = {  # §7.1, §7.3
    "language-content": "object_ref!:@ object_modified:time contents!:object",
    "extension-definition": "name!:text description schema!:text version!:text extension_types!:[extension-type]"
    " extension_properties:[str]",
}

PARTS: Final = {  # §2, and parts of observables
    "external-reference": "source_name!:text description url hashes:hashes external_id ...",
    "kill-chain-phase": "kill_chain_name!:text phase_name!:text ...",
    "granular-marking": "lang marking_ref:@marking-definition selectors!:[selector]",
    "email-part": "body body_raw_ref:@artifact|file content_type content_disposition ...",
    "registry-value": "&1 name data data_type ...",
}

OBSERVABLE_TYPES: Final = frozenset(_OBSERVABLE)
JOINED_NEVER: Final = frozenset(  # §5.1.2: what a relationship can't have at an end
    {"relationship", "sighting", "bundle", "language-content", "marking-definition"}
)

OBJECTS: Final = {
    **{name: _CREATED + line for name, line in {**_DOMAIN, **_RELATION, **_META}.items()},
    **{name: _OBSERVED + line for name, line in _OBSERVABLE.items()},
    # §7.2: a marking isn't versioned, so it has no modified and can't be revoked
    "marking-definition": "type!:type spec_version!:2.1 id!:id created!:time created_by_ref:@identity"
    " external_references:[external-reference] name definition_type:text definition:object" + _MARKS,
}
CUSTOM_CREATED: Final = _CREATED  # a custom domain object (§11.2)
CUSTOM_OBSERVED: Final = _OBSERVED  # a custom observable

BUNDLE: Final = "type!:type id!:id objects:list"  # §8

ORDER: Final = (  # the first isn't after the second; where strict, before it
    ("created", "modified", False),
    ("first_seen", "last_seen", False),
    ("first_observed", "last_observed", False),
    ("valid_from", "valid_until", True),
    ("start_time", "stop_time", True),
    ("analysis_started", "analysis_ended", False),
    ("start", "end", False),
)

SOME_OF: Final = {  # at least one of these must be there
    "artifact": ("payload_bin", "url"),
    "file": ("hashes", "name"),
    "location": ("region", "country", "latitude"),
    "malware-analysis": ("result", "analysis_sco_refs"),
    "marking-definition": ("definition_type", "extensions"),
    "network-traffic": ("src_ref", "dst_ref"),
    "observed-data": ("objects", "object_refs"),
    **{
        name: (*(word.partition(":")[0] for word in _OBSERVABLE[name].split()), "extensions")
        for name in ("process", "user-account", "windows-registry-key", "x509-certificate")
    },
}

NOT_BOTH: Final = {
    "artifact": ("payload_bin", "url"),
    "observed-data": ("objects", "object_refs"),
}

IMPLIES: Final = {  # who has the first needs the second
    "artifact": (("url", "hashes"), ("decryption_key", "encryption_algorithm")),
    "extension-definition": (("type", "created_by_ref"),),
    "file": (("name_enc", "name"),),
    "location": (("latitude", "longitude"), ("longitude", "latitude"), ("precision", "latitude")),
    "marking-definition": (("definition_type", "definition"), ("definition", "definition_type")),
}

HASHES: Final = {  # §10.8 hash-algorithm-ov: hex digits of a value, where the algorithm fixes them
    "MD5": 32,
    "SHA-1": 40,
    "SHA-256": 64,
    "SHA-512": 128,
    "SHA3-256": 64,
    "SHA3-512": 128,
}
