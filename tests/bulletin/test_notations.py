"""Package URLs, version ranges and license expressions: those of the standards are taken, others are not."""

from __future__ import annotations

import pytest

from securechan.bulletin.notations import license_fault, purl_fault, range_fault


@pytest.mark.parametrize(
    "purl",
    [
        "pkg:maven/org.apache.logging.log4j/log4j-core@2.14.1",
        "pkg:npm/%40angular/animation@12.3.1",
        "pkg:deb/debian/curl@7.50.3-1?arch=i386&distro=jessie",
        "pkg:golang/google.golang.org/genproto#googleapis/api/annotations",
        "pkg:npm/@scope/name@1.0",
        "pkg:generic/xz",
    ],
)
def test_real_package_urls_are_valid(purl: str) -> None:
    assert purl_fault(purl, typed=True) == ""


@pytest.mark.parametrize(
    ("purl", "fault"),
    [
        ("pkg:maven/@1.0", "no name"),
        ("pkg:maven/", "no name"),
        ("pkg:/x", "no name"),
        ("pkg:1npm/x", "type"),
        ("pkg:npm/a%4", "percent"),
        ("pkg:npm/a?x=1&x=2", "twice"),
        ("pkg:npm/a?x", "key=value"),
        ("pkg:pypi/a/b", "namespace"),
    ],
)
def test_broken_package_urls_are_not(purl: str, fault: str) -> None:
    assert fault in purl_fault(purl, typed=True)


@pytest.mark.parametrize(
    "name", ["vers:all/*", "vers:gem/>=2.2.0|!=2.2.1|<2.3.0", "<4.2", ">10.9a|!=10.9c|<=10.9k", "<V3.0.29"]
)
def test_ranges_of_the_standard_are_taken(name: str) -> None:
    assert range_fault(name) == ""


@pytest.mark.parametrize(
    "name", ["*", "vers:npm/*", "vers:all/<1", "vers:/x", "vers:npm/", "<= 1", "<1||>2", "<>1", "<1|>1", "all before 3"]
)
def test_other_ranges_are_not(name: str) -> None:
    assert range_fault(name)


@pytest.mark.parametrize(
    "text", ["MIT", "(MIT)", "MIT and ISC", "GPL-2.0-only WITH Classpath-exception-2.0", "LicenseRef-a OR (MIT OR ISC)"]
)
def test_license_expressions_are_read(text: str) -> None:
    assert license_fault(text) == ""


@pytest.mark.parametrize(
    "text",
    ["", "MIT OR", "OR MIT", "MIT ISC", "(MIT", "MIT)", "MIT WITH", "(MIT) WITH x", "MIT Or ISC", "LicenseRef-a+",
     "DocumentRef-a:LicenseRef-b", "licenseref-a", "a/b", "MIT WITH a WITH b", "()"],
)  # fmt: skip
def test_other_texts_are_no_license_expressions(text: str) -> None:
    assert license_fault(text)
