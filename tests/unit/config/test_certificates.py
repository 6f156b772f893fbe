"""Certificates and keys as people paste them: what is only form is put right, and what Caddy would refuse is said.

What Go makes of a text was compared with Go 1.26's encoding/pem and crypto/tls.X509KeyPair, for every form here and for
some ten thousand random changes of them; the results stand in the tables.
"""

from __future__ import annotations

import textwrap
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, rsa, x25519
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from meltanodata.config import certificates, pem

if TYPE_CHECKING:
    from collections.abc import Callable

NOW = datetime(2026, 11, 20, tzinfo=UTC)
DOMAIN = "meltanodata.com"
LEAF_KEY, INTERMEDIATE_KEY, ROOT_KEY, OTHER_KEY = (ec.generate_private_key(ec.SECP256R1()) for _ in range(4))


def issue(
    subject: str, key: Any, issuer: str, issuer_key: Any, *, ca: bool | None = True, days: tuple[int, int] = (-30, 60)
) -> str:
    """A certificate, PEM; `days` from now for its validity."""

    def name(text: str) -> x509.Name:
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    builder = (
        x509.CertificateBuilder(name(issuer), name(subject), key.public_key(), x509.random_serial_number())
        .not_valid_before(NOW + timedelta(days=days[0]))
        .not_valid_after(NOW + timedelta(days=days[1]))
    )
    if ca is not None:
        builder = builder.add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
    if subject.startswith("*"):
        builder = builder.add_extension(x509.SubjectAlternativeName([x509.DNSName(subject)]), critical=False)
    algorithm = None if isinstance(issuer_key, ed25519.Ed25519PrivateKey) else hashes.SHA256()
    return builder.sign(issuer_key, algorithm).public_bytes(serialization.Encoding.PEM).decode()


def key_pem(key: Any, kind: serialization.PrivateFormat = serialization.PrivateFormat.PKCS8, **more: Any) -> str:
    encryption = more.get("encryption", serialization.NoEncryption())
    return str(key.private_bytes(serialization.Encoding.PEM, kind, encryption).decode())


LEAF = issue(f"*.{DOMAIN}", LEAF_KEY, "Intermediate", INTERMEDIATE_KEY, ca=False)
INTERMEDIATE = issue("Intermediate", INTERMEDIATE_KEY, "Root", ROOT_KEY)
ROOT = issue("Root", ROOT_KEY, "Root", ROOT_KEY)
STRANGER = issue("Stranger", OTHER_KEY, "Stranger", OTHER_KEY)
CHAIN = LEAF + INTERMEDIATE
KEY = key_pem(LEAF_KEY)


def found(certificate: str, key: str = KEY) -> list[tuple[str, str]]:
    return certificates.problems(certificate, key, DOMAIN, NOW)


def indented(text: str, by: str = "  ") -> str:
    return textwrap.indent(text, by)


def rewrapped(text: str, width: int) -> str:
    blocks = pem.blocks(text)
    lines = [(it.label, "".join(str(it).splitlines()[1:-1])) for it in blocks]
    return "".join(
        "\n".join([f"-----BEGIN {label}-----", *textwrap.wrap(body, width), f"-----END {label}-----", ""])
        for label, body in lines
    )


AS_GO_HAS_IT: dict[str, Callable[[str], str]] = {
    "as it is": lambda text: text,
    "CR LF": lambda text: text.replace("\n", "\r\n"),
    "blanks at the ends of lines": lambda text: text.replace("\n", " \t\n"),
    "no line break at the end": str.rstrip,
    "text around": lambda text: "subject=x\nissuer=y\n\n" + text + "some more\n",
    "text between": lambda text: text.replace("-----BEGIN", "subject=/CN=x\n-----BEGIN"),
    "long lines": lambda text: rewrapped(text, 10_000),
    "short lines": lambda text: rewrapped(text, 7),
    "blank lines within": lambda text: rewrapped(text, 64).replace("M", "M\n\n", 1),
    "a header": lambda text: text.replace("-----\n", "-----\nX-Of: me\n", 1),
}
"""Forms that Go reads: they stay as they are, so that nothing changes for who has one."""

ONLY_FORM: dict[str, Callable[[str], str]] = {
    "a byte order mark": lambda text: "\ufeff" + text,
    "a byte order mark before each": lambda text: text.replace("-----BEGIN", "\ufeff-----BEGIN"),
    "indented": indented,
    "indented by tabs": lambda text: indented(text, "\t"),
    "indented by no-break spaces": lambda text: indented(text, "\u00a0"),
    "no-break spaces at the ends of lines": lambda text: text.replace("\n", "\u00a0\n"),
    "a no-break space in the title": lambda text: text.replace("BEGIN ", "BEGIN\u00a0"),
    "no-break spaces in the data": lambda text: text.replace("MI", "M\u00a0I"),
    "CR alone": lambda text: text.replace("\n", "\r"),
    "line separators": lambda text: text.replace("\n", "\u2028"),
    "on one line": lambda text: text.replace("\n", " "),
    "without any line break": lambda text: text.replace("\n", ""),
    "escaped line breaks": lambda text: text.replace("\n", "\\n"),
    "escaped line breaks of Windows": lambda text: text.replace("\n", "\\r\\n"),
    "zero width spaces": lambda text: text.replace("\n", "\u200b\n"),
    "a form feed": lambda text: text.replace("-----BEGIN", "\x0c-----BEGIN"),
    "another blank in the title": lambda text: text.replace("-----BEGIN", "-----  BEGIN").replace("-----  ", "-----"),
    "blanks before the data": lambda text: text.replace("-----\nM", "-----   M"),
}
"""Forms that Go skips, or most of which: they are written anew."""


@pytest.mark.parametrize("form", AS_GO_HAS_IT)
def test_a_form_that_caddy_reads_stays_as_it_is(form: str) -> None:
    text, key = AS_GO_HAS_IT[form](CHAIN), AS_GO_HAS_IT[form](KEY)
    assert found(text, key) == []
    assert certificates.normal(text) == text
    assert certificates.normal_key(key) == key
    assert [it.der for it in pem.as_go_has_it(text)] == [it.der for it in pem.blocks(CHAIN)]


@pytest.mark.parametrize("form", ONLY_FORM)
def test_a_wrong_layout_is_corrected(form: str) -> None:
    text, key = ONLY_FORM[form](CHAIN), ONLY_FORM[form](KEY)
    assert found(text, key) == []
    assert certificates.normal(text) == CHAIN
    assert certificates.normal_key(key) == KEY
    assert certificates.fingerprint(text) == certificates.fingerprint(CHAIN)
    assert certificates.lifetime(text) == certificates.lifetime(CHAIN)


def test_two_blocks_without_a_line_break_between_them() -> None:
    text = LEAF.rstrip() + INTERMEDIATE
    assert [it.der for it in pem.as_go_has_it(text)] != [it.der for it in pem.blocks(CHAIN)]
    assert found(text) == []
    assert certificates.normal(text) == CHAIN


def test_a_private_key_beside_the_certificate_is_left_out() -> None:
    assert certificates.normal(KEY + CHAIN) == certificates.normal(CHAIN + KEY) == CHAIN
    assert found(CHAIN + KEY) == []


def test_the_first_private_key_of_a_file_is_used_as_in_go() -> None:
    parameters = "-----BEGIN EC PARAMETERS-----\nBggqhkjOPQMBBw==\n-----END EC PARAMETERS-----\n"
    old = key_pem(LEAF_KEY, serialization.PrivateFormat.TraditionalOpenSSL)
    for key in (parameters + old, CHAIN + KEY, KEY + key_pem(OTHER_KEY), old.replace("EC PRIVATE", "RSA PRIVATE")):
        assert found(CHAIN, key) == []
        assert certificates.normal_key(key) == key
    assert found(CHAIN, key_pem(OTHER_KEY) + KEY) == [
        ("certificate_key", "does not match the certificate; set both from the same issue")
    ]


@pytest.mark.parametrize("kind", ["RSA", "P-384", "Ed25519"])
def test_kinds_of_keys_that_caddy_serves(kind: str) -> None:
    made = {
        "RSA": lambda: rsa.generate_private_key(65537, 2048),
        "P-384": lambda: ec.generate_private_key(ec.SECP384R1()),
        "Ed25519": ed25519.Ed25519PrivateKey.generate,
    }
    key = made[kind]()
    assert found(issue(f"*.{DOMAIN}", key, f"*.{DOMAIN}", key), key_pem(key)) == []


@pytest.mark.parametrize(
    "key",
    [
        ec.generate_private_key(ec.SECP256K1()),
        ec.generate_private_key(ec.BrainpoolP256R1()),
        dsa.generate_private_key(1024),
        ed448.Ed448PrivateKey.generate(),
        x25519.X25519PrivateKey.generate(),
    ],
    ids=["secp256k1", "Brainpool", "DSA", "Ed448", "X25519"],
)
def test_a_kind_of_key_that_caddy_does_not_serve_is_refused(key: Any) -> None:
    assert ("certificate_key", "has a type that Caddy cannot use; use RSA, ECDSA or Ed25519") in found(
        CHAIN, key_pem(key)
    )


UNREADABLE_KEY = [("certificate_key", "is not a readable private key (PEM, without passphrase)")]


@pytest.mark.parametrize(
    "key",
    [
        key_pem(LEAF_KEY, encryption=serialization.BestAvailableEncryption(b"x")),
        key_pem(
            LEAF_KEY,
            serialization.PrivateFormat.TraditionalOpenSSL,
            encryption=serialization.BestAvailableEncryption(b"x"),
        ),
        key_pem(ed25519.Ed25519PrivateKey.generate(), serialization.PrivateFormat.OpenSSH),
        KEY[:-60],
        KEY.replace("END PRIVATE", "END EC PRIVATE"),
        KEY.replace("M", "!", 1),
        CHAIN,
        "",
    ],
    ids=["PKCS#8 with passphrase", "old with passphrase", "OpenSSH", "cut", "ends", "damaged", "certificate", "empty"],
)
def test_a_key_that_go_does_not_read_is_refused(key: str) -> None:
    assert found(CHAIN, key) == UNREADABLE_KEY


@pytest.mark.parametrize(
    ("certificate", "said"),
    [
        ("", ""),
        ("x", ""),
        (KEY, ""),
        (LEAF[:-40], ": a block is cut off, beside 0 that are whole"),
        (LEAF + INTERMEDIATE[:200], ": a block is cut off, beside 1 that is whole"),
        (LEAF + INTERMEDIATE[40:], ": a block is cut off, beside 1 that is whole"),
        (LEAF.replace("END", "END OF"), ": a block is cut off, beside 0 that are whole"),
        (LEAF + INTERMEDIATE.replace("M", "!", 1), ": block 2 (CERTIFICATE) is damaged"),
        (LEAF.replace("MII", "MI", 1), ": block 1 (CERTIFICATE) is damaged"),
        ("-----BEGIN CERTIFICATE-----\n-----END CERTIFICATE-----\n" + LEAF, ": block 1 (CERTIFICATE) is damaged"),
        (LEAF.replace("MII", "MIJ", 1), ""),
        (LEAF.replace("CERTIFICATE", "TRUSTED CERTIFICATE"), ""),
    ],
)
def test_a_text_that_is_no_certificate_is_refused_and_not_quoted(certificate: str, said: str) -> None:
    assert found(certificate) == [("certificate", f"is not a readable certificate (PEM){said}")]


def test_an_old_label_is_corrected() -> None:
    assert certificates.normal(CHAIN.replace("CERTIFICATE", "X509 CERTIFICATE")) == CHAIN


WITH_ROOT = CHAIN + ROOT
OLD = issue("Intermediate", INTERMEDIATE_KEY, "Root", ROOT_KEY, days=(-400, -1))
FUTURE = issue("Intermediate", INTERMEDIATE_KEY, "Root", ROOT_KEY, days=(1, 90))
OLD_ROOT = issue("Root", ROOT_KEY, "Root", ROOT_KEY, days=(-4000, -1))
CROSS_SIGNED = issue("Root", ROOT_KEY, "Older root", OTHER_KEY)
OLD_CROSS_SIGNED = issue("Root", ROOT_KEY, "Older root", OTHER_KEY, days=(-4000, -1))
NO_CA = issue("Intermediate", INTERMEDIATE_KEY, "Root", ROOT_KEY, ca=False)
SAME_NAME = issue("Intermediate", OTHER_KEY, "Root", ROOT_KEY)
BY_ROOT = issue(f"*.{DOMAIN}", LEAF_KEY, "Root", ROOT_KEY, ca=False)
V1_ROOT = issue("Root", ROOT_KEY, "Root", ROOT_KEY, ca=None)


@pytest.mark.parametrize(
    "chain",
    [
        CHAIN,
        WITH_ROOT,
        LEAF + ROOT + INTERMEDIATE,
        CHAIN + STRANGER,
        CHAIN + CROSS_SIGNED,
        CHAIN + OLD_CROSS_SIGNED + CROSS_SIGNED,
        LEAF + OLD + INTERMEDIATE,
        LEAF + SAME_NAME + INTERMEDIATE,
        BY_ROOT + ROOT,
        BY_ROOT + V1_ROOT,
        issue(f"*.{DOMAIN}", LEAF_KEY, f"*.{DOMAIN}", LEAF_KEY, ca=None),
    ],
)
def test_a_complete_chain_has_no_problems(chain: str) -> None:
    assert found(chain) == []
    assert certificates.normal(chain) == chain


ADVICE = (
    ". Append it: the intermediate of the bundle that came with the certificate, or your own root if that issued it"
)
MISSING = "no chain, and browsers refuse it: the certificate of its issuer 'Intermediate' is missing"
REFUSED = "a chain that browsers refuse: the certificate of its issuer"


@pytest.mark.parametrize(
    ("chain", "said"),
    [
        (LEAF, f"{MISSING}{ADVICE}"),
        (BY_ROOT, f"no chain, and browsers refuse it: the certificate of its issuer 'Root' is missing{ADVICE}"),
        (
            LEAF + STRANGER + ROOT,
            f"{MISSING}, and what follows it ('Stranger' and 'Root') did not issue it{ADVICE}",
        ),
        (LEAF + SAME_NAME, MISSING),
        (LEAF + NO_CA, MISSING),
        (
            LEAF + OLD,
            f"{REFUSED} 'Intermediate' has expired, on 2026-11-19. Replace it by the current one",
        ),
        (
            LEAF + FUTURE,
            f"{REFUSED} 'Intermediate' is not valid before",
        ),
        (CHAIN + OLD_ROOT, f"{REFUSED} 'Root' has expired"),
        (CHAIN + OLD_CROSS_SIGNED, f"{REFUSED} 'Root' has expired"),
    ],
)
def test_a_chain_that_browsers_refuse_is_reported(chain: str, said: str) -> None:
    ((setting, problem),) = found(chain)
    assert setting == "certificate"
    assert problem.startswith(f"has {said}")


def test_the_servers_own_certificate_has_to_be_the_first() -> None:
    assert ("certificate", "has the server's own certificate at position 3; put that first") in found(
        ROOT + INTERMEDIATE + LEAF
    )


PIECES = [
    *(line + end for line in CHAIN.splitlines()[:4] for end in ("\n", "", "\r", " \n")),
    *("-----BEGIN CERTIFICATE-----", "-----END CERTIFICATE-----", "-----BEGIN ", "-----END ", "-----", "\n", "\r\n"),
    *("AAAA", "QUJD", "=", "==", ":", "x: y\n", " ", "\t", "\ufeff", "\u00a0", "\\n", "\u2028", "PRIVATE KEY", "ü"),
    *(LEAF, INTERMEDIATE, KEY),
]


@given(text=st.lists(st.sampled_from(PIECES), max_size=14).map("".join) | st.text())
def test_a_text_without_problems_is_read_by_go(text: str) -> None:
    for name, _ in certificates.problems(text, text, DOMAIN, NOW):
        assert name in {"certificate", "certificate_key"}
    for certificate in (text, CHAIN + text):
        if certificates.problems(certificate, None, None, NOW) == []:
            normal = certificates.normal(certificate)
            assert certificates.normal(normal) == normal
            there = pem.as_go_has_it(normal)
            assert [it.der for it in there if it.label == "CERTIFICATE"] == [
                it.der for it in pem.blocks(certificate) if it.label == "CERTIFICATE"
            ]
