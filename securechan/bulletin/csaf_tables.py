"""CSAF 2.0 and 2.1 as tables: the structure that the standards' JSON schemas demand, in `shape.Book`'s notation.

Sources: OASIS CSAF 2.0 (18 November 2022, with errata) §3 and CSAF 2.1 §3. In 2.0 every object may have properties that
aren't named, in 2.1 none may. Metrics (CVSS, SSVC) are ``any`` here: what is wrong in them has a test number of its
own.
"""

from __future__ import annotations

from typing import Final


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


_DATES: Final = "current_release_date!:time initial_release_date!:time"
_SCOPE: Final = " group_ids:{str} product_ids:{str}"

_COMMON: Final = {
    "acknowledgment": "&1 names:[str] organization summary urls:[uri]",
    "branch": "&3 branches:[branch] category!:branch-category name! product:product",
    "file-hash": "algorithm!:algorithm value!:digest",
    "file-hashes": "file_hashes!:[file-hash] filename!",
    "generic-uri": "namespace!:uri uri!:uri",
    "reference": "category:reference-category summary! url!:uri",
    "severity": "namespace:uri text!",
    "publisher": "category!:publisher-category contact_details issuing_authority name! namespace!:uri",
    "engine": "name! version",
    "generator": "date:time engine!:engine",
    "revision": "date!:time legacy_version number!:version summary!",
    "tracking": f"aliases:{{str}} {_DATES} generator:generator id!:tracking-id revision_history!:[revision]"
    " status!:status version!:version",
    "group": "group_id! product_ids!:products-2 summary",
    "flag": "date:time label!:flag-label" + _SCOPE,
    "restart": "category!:restart-category details",
    "remediation": "category!:remediation-category date:time details! entitlements:[str] restart_required:restart"
    " url:uri" + _SCOPE,
    "threat": "category!:threat-category date:time details!" + _SCOPE,
}

TABLE_20: Final = {
    **_COMMON,
    "csaf": "document!:document product_tree:tree vulnerabilities:[vulnerability]",
    "document": "acknowledgments:[acknowledgment] aggregate_severity:severity category!:category csaf_version!:2.0"
    " distribution:distribution lang:lang notes:[note] publisher!:publisher references:[reference] source_lang:lang"
    " title! tracking!:tracking",
    "distribution": "&1 text tlp:tlp",
    "tlp": "label!:tlp-label url:uri",
    "note": "audience category!:note-category text! title",
    "product": "name! product_id! product_identification_helper:helper",
    "helper": "&1 cpe:cpe hashes:[file-hashes] model_numbers:{str} purl:purl sbom_urls:[uri] serial_numbers:{str}"
    " skus:[str] x_generic_uris:[generic-uri]",
    "tree": "&1 branches:[branch] full_product_names:[product] product_groups:[group] relationships:[relationship]",
    "relationship": "category!:relationship-category full_product_name!:product product_reference!"
    " relates_to_product_reference!",
    "vulnerability": "&1 acknowledgments:[acknowledgment] cve:cve cwe:cwe discovery_date:time flags:{flag} ids:{id}"
    " involvements:{involvement} notes:[note] product_status:status-groups references:[reference] release_date:time"
    " remediations:[remediation] scores:[score] threats:[threat] title",
    "cwe": "id!:cwe-id name!",
    "id": "system_name! text!",
    "involvement": "date:time party!:party status!:involvement-status summary",
    "status-groups": "&1 first_affected:{str} first_fixed:{str} fixed:{str} known_affected:{str}"
    " known_not_affected:{str} last_affected:{str} recommended:{str} under_investigation:{str}",
    "score": "&2 cvss_v2:any cvss_v3:any products!:{str}",
}

TABLE_21: Final = {
    **_COMMON,
    "csaf": "$schema!:schema-2.1 document!:document product_tree:tree vulnerabilities:[vulnerability] x_extensions:any",
    "document": "acknowledgments:[acknowledgment] aggregate_severity:severity category!:category csaf_version!:2.1"
    " distribution!:distribution lang:lang license_expression notes:[note] publisher!:publisher"
    " references:[reference] source_lang:lang title! tracking!:tracking x_extensions:any",
    "distribution": "sharing_group:sharing-group text tlp!:tlp",
    "sharing-group": "id!:sharing-id name",
    "tlp": "label!:tlp-label url:uri",
    "note": "audience category!:note-category text! title" + _SCOPE,
    "product": "name! product_id! product_identification_helper:helper x_extensions:any",
    "helper": "&1 cpe:cpe hashes:{file-hashes} model_numbers:{str} purls:{purl} sbom_urls:{uri} serial_numbers:{str}"
    " skus:{str} x_generic_uris:{generic-uri}",
    "file-hashes": "file_hashes!:{file-hash} filename!",
    "tree": "&1 branches:[branch] full_product_names:[product] product_groups:[group] product_paths:[path]",
    "path": "beginning_product_reference! full_product_name!:product subpaths!:[subpath]",
    "subpath": "category!:relationship-category next_product_reference!",
    "vulnerability": "&1 acknowledgments:[acknowledgment] cve:cve cwes:{cwe} disclosure_date:time discovery_date:time"
    " first_known_exploitation_dates:{exploitation} flags:{flag} ids:{id} involvements:{involvement}"
    " metrics:{metric} notes:[note] product_status:status-groups references:[reference]"
    " remediations:[remediation] threats:[threat] title x_extensions:any",
    "cwe": "id!:cwe-id name!:cwe-name version!:cwe-version",
    "exploitation": "&3 date!:time exploitation_date!:time" + _SCOPE,
    "id": "system_name! text!" + _SCOPE,
    "involvement": "contact date:time party!:party status!:involvement-status summary" + _SCOPE,
    "status-groups": "&1 first_affected:{str} first_fixed:{str} fixed:{str} known_affected:{str}"
    " known_not_affected:{str} last_affected:{str} recommended:{str} under_investigation:{str} unknown:{str}",
    "metric": "content!:metric-content products!:{str} source:uri",
    "metric-content": "&1 cvss_v2:any cvss_v3:any cvss_v4:any epss:epss qualitative_severity_rating:rating"
    " ssvc_v2:any x_extensions:any",
    "epss": "percentile!:unit probability!:unit timestamp!:time",
}

SSVC: Final = {  # CERT/CC, Selection List 2.0.0
    "ssvc": "timestamp!:time schemaVersion!:2.0.0 target_ids:{str} selections!:[selection]"
    " decision_point_resources:[resource] references:[resource]",
    "resource": "uri!:uri summary!:free",
    "selection": "namespace!:namespace key!:key version!:semantic name definition values!:[choice]",
    "choice": "name definition key!:key",
}

EXTENSION: Final = {  # CSAF 2.1, Extension Content Schema
    "extension": "$schema!:uri category!:extension-category critical!:bool content!:extension-content",
    "extension-content": "&1 ...",
}

_BRANCHES: Final = (
    "architecture host_name language patch_level product_family product_name product_version product_version_range"
    " service_pack specification vendor "
)
_REMEDIES: Final = "mitigation no_fix_planned none_available vendor_fix workaround "

WORDS: Final = {  # closed sets of both versions
    "reference-category": "external self",
    "note-category": "description details faq general legal_disclaimer other summary",
    "status": "draft final interim",
    "relationship-category": "default_component_of external_component_of installed_on installed_with"
    " optional_component_of",
    "flag-label": "component_not_present inline_mitigations_already_exist"
    " vulnerable_code_cannot_be_controlled_by_adversary vulnerable_code_not_in_execute_path"
    " vulnerable_code_not_present",
    "party": "coordinator discoverer other user vendor",
    "involvement-status": "completed contact_attempted disputed in_progress not_contacted open",
    "restart-category": "connected dependencies machine none parent service system vulnerable_component zone",
    "threat-category": "exploit_status impact target_set",
    "rating": "critical high low medium none",
    "extension-category": "essential significant supplementary",
}
WORDS_20: Final = {
    "2.0": "2.0",
    "tlp-label": "AMBER GREEN RED WHITE",
    "branch-category": _BRANCHES + "legacy",
    "publisher-category": "coordinator discoverer other translator user vendor",
    "remediation-category": _REMEDIES,
}
WORDS_21: Final = {
    "2.1": "2.1",
    "2.0.0": "2.0.0",
    "schema-2.1": "https://docs.oasis-open.org/csaf/csaf/v2.1/schema/csaf.json",
    "tlp-label": "AMBER AMBER+STRICT CLEAR GREEN RED",
    "branch-category": _BRANCHES + "platform",
    "publisher-category": "coordinator discoverer multiplier other translator user vendor",
    "remediation-category": _REMEDIES + "fix_planned optional_patch",
}

# ------------------------------------------------------------------------------------------------ what the tests use

STATUS_GROUPS: Final = {  # §3.2.3.9 (2.0), §3.2.4.9 (2.1): statements about a product that exclude each other
    "first_affected": "affected",
    "known_affected": "affected",
    "last_affected": "affected",
    "known_not_affected": "not affected",
    "first_fixed": "fixed",
    "fixed": "fixed",
    "under_investigation": "under investigation",
    "unknown": "unknown",
}

PROFILES_20: Final = {
    "csaf_security_incident_response": "Security Incident Response",
    "csaf_informational_advisory": "Informational Advisory",
    "csaf_security_advisory": "Security Advisory",
    "csaf_vex": "VEX",
}
PROFILES_21: Final = {
    **PROFILES_20,
    "csaf_deprecated_security_advisory": "Deprecated Security Advisory",
    "csaf_withdrawn": "Withdrawn",
    "csaf_superseded": "Superseded",
}

RANGE_SIGNS: Final = ("<", ">")  # 6.1.31: what a single version can't contain
RANGE_WORDS: Final = _words("after all before earlier later prior versions")

# ISO 639-1 and ISO 3166-1 (with the codes that BCP 47's registry adds), for test 6.1.12
LANGUAGES: Final = _words(
    "aa ab ae af ak am an ar as av ay az ba be bg bh bi bm bn bo br bs ca ce ch co cr cs cu cv cy da de dv dz ee el en"
    " eo es et eu fa ff fi fj fo fr fy ga gd gl gn gu gv ha he hi ho hr ht hu hy hz ia id ie ig ii ik in io is it iu iw"
    " ja ji jv jw ka kg ki kj kk kl km kn ko kr ks ku kv kw ky la lb lg li ln lo lt lu lv mg mh mi mk ml mn mo mr ms mt"
    " my na nb nd ne ng nl nn no nr nv ny oc oj om or os pa pi pl ps pt qu rm rn ro ru rw sa sc sd se sg sh si sk sl sm"
    " sn so sq sr ss st su sv sw ta te tg th ti tk tl tn to tr ts tt tw ty ug uk ur uz ve vi vo wa wo xh yi yo za zh zu"
)
REGIONS: Final = _words(
    "AA AC AD AE AF AG AI AL AM AN AO AQ AR AS AT AU AW AX AZ BA BB BD BE BF BG BH BI BJ BL BM BN BO BQ BR BS BT BU BV"
    " BW BY BZ CA CC CD CF CG CH CI CK CL CM CN CO CP CQ CR CS CU CV CW CX CY CZ DD DE DG DJ DK DM DO DZ EA EC EE EG EH"
    " ER ES ET EU EZ FI FJ FK FM FO FR FX GA GB GD GE GF GG GH GI GL GM GN GP GQ GR GS GT GU GW GY HK HM HN HR HT HU IC"
    " ID IE IL IM IN IO IQ IR IS IT JE JM JO JP KE KG KH KI KM KN KP KR KW KY KZ LA LB LC LI LK LR LS LT LU LV LY MA MC"
    " MD ME MF MG MH MK ML MM MN MO MP MQ MR MS MT MU MV MW MX MY MZ NA NC NE NF NG NI NL NO NP NR NT NU NZ OM PA PE PF"
    " PG PH PK PL PM PN PR PS PT PW PY QA RE RO RS RU RW SA SB SC SD SE SG SH SI SJ SK SL SM SN SO SR SS ST SU SV SX SY"
    " SZ TA TC TD TF TG TH TJ TK TL TM TN TO TP TR TT TV TW TZ UA UG UM UN US UY UZ VA VC VE VG VI VN VU WF WS XK YD YE"
    " YT YU ZA ZM ZR ZW ZZ"
)
