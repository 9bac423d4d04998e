"""C2PA manifests with a chain of certificates made here; skipped where the library is not installed."""

from __future__ import annotations

import datetime
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from mien.provenance import (
    DIGITAL_SOURCE_TYPE,
    FORMATS,
    MEDIA_TYPES,
    check_surroundings,
    read_provenance,
    save_image,
    signing,
    watermark,
)
from mien.types import InputError

pytest.importorskip("c2pa", reason='C2PA manifests need pip install "mien[c2pa]"')
x509 = pytest.importorskip("cryptography.x509", reason="a certificate to sign with is made by cryptography")


@pytest.fixture(scope="module")
def pki(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A root, and a certificate for signing under it, in PEM files: chain.pem, leaf.key, other.key."""
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    folder = tmp_path_factory.mktemp("pki")
    keys = {name: ec.generate_private_key(ec.SECP256R1()) for name in ("root", "leaf", "other")}
    names = {
        name: x509.Name(
            [
                x509.NameAttribute(x509.NameOID.ORGANIZATION_NAME, "Nobody"),
                x509.NameAttribute(x509.NameOID.COMMON_NAME, f"Nobody's {name}"),
            ]
        )
        for name in ("root", "leaf")
    }
    start = datetime.datetime.now(datetime.timezone.utc) - datetime.timedelta(days=1)
    chain = b""
    for name in ("leaf", "root"):
        ca = name == "root"
        usage = dict.fromkeys(
            ("content_commitment", "key_encipherment", "data_encipherment", "key_agreement", "encipher_only",
             "decipher_only"), False,
        )  # fmt: skip
        builder = (
            x509.CertificateBuilder()
            .subject_name(names[name])
            .issuer_name(names["root"])
            .public_key(keys[name].public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(start)
            .not_valid_after(start + datetime.timedelta(days=30))
            .add_extension(x509.BasicConstraints(ca=ca, path_length=None), critical=True)
            .add_extension(
                x509.KeyUsage(digital_signature=not ca, key_cert_sign=ca, crl_sign=ca, **usage), critical=True
            )
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_public_key(keys["root"].public_key()), critical=False
            )
        )
        if not ca:
            purpose = x509.ExtendedKeyUsage([x509.ExtendedKeyUsageOID.EMAIL_PROTECTION])
            builder = builder.add_extension(purpose, critical=False)
        chain += builder.sign(keys["root"], hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
    (folder / "chain.pem").write_bytes(chain)
    for name in ("leaf", "other"):
        (folder / f"{name}.key").write_bytes(
            keys[name].private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
    return folder


@pytest.fixture
def certified(pki: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv(signing.CERT, str(pki / "chain.pem"))
    monkeypatch.setenv(signing.KEY, str(pki / "leaf.key"))
    return pki


def kind(path: Path) -> str:
    return MEDIA_TYPES[FORMATS[path.suffix]]


@pytest.mark.parametrize("name", ["a.png", "a.jpg", "a.webp"])
def test_everything_written_is_signed(
    tmp_path: Path, picture: Image.Image, certified: Path, name: str
) -> None:
    path = save_image(picture.resize((192, 128)), tmp_path / name, {"seed": 1})
    manifest = signing.read_manifest(path, kind(path))
    assert manifest is not None
    assert manifest["state"] == "Valid" and manifest["problems"] == ["signingCredential.untrusted"]
    assert manifest["signer"] == "Nobody's leaf" and manifest["software"] == "mien"
    assert manifest["source_types"] == [DIGITAL_SOURCE_TYPE]
    found = read_provenance(path)
    assert found is not None and found["settings"] == {"seed": 1}
    assert watermark.find(Image.open(path)).found
    assert [p.name for p in tmp_path.iterdir()] == [name]


def test_a_changed_picture_is_not_valid(tmp_path: Path, picture: Image.Image, certified: Path) -> None:
    path = save_image(picture, tmp_path / "a.jpg", {})
    data = bytearray(path.read_bytes())
    data[-len(data) // 40] ^= 0x55  # in the picture's own data, near the end
    path.write_bytes(data)
    manifest = signing.read_manifest(path, "image/jpeg")
    assert manifest is not None and manifest["state"] == "Invalid"
    assert "assertion.dataHash.mismatch" in manifest["problems"]


def test_pictures_without_a_manifest(tmp_path: Path, picture: Image.Image) -> None:
    assert not signing.wanted()
    path = save_image(picture, tmp_path / "a.png", {})
    assert signing.read_manifest(path, "image/png") is None
    (tmp_path / "b.jpg").write_bytes(b"\xff\xd8\xff\xeb" + b"c2pa" * 50)
    broken = signing.read_manifest(tmp_path / "b.jpg", "image/jpeg")
    assert broken is None or broken["state"] == "Invalid"


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        ({"MIEN_C2PA_KEY": ""}, "MIEN_C2PA_CERT is set alone"),
        ({"MIEN_C2PA_KEY": "no.key"}, "no.key"),
        ({"MIEN_C2PA_KEY": "chain.pem"}, "cannot sign"),
        ({"MIEN_C2PA_KEY": "other.key"}, "cannot sign|belong together"),
        ({"MIEN_C2PA_CERT": "words.pem"}, "not a PEM file"),
        ({"MIEN_C2PA_ALG": "rot13"}, "choose es256"),
        ({"MIEN_C2PA_ALG": "ed25519"}, "MIEN_C2PA_ALG"),
    ],
)
def test_certificates_that_do_not_fit(
    tmp_path: Path,
    picture: Image.Image,
    certified: Path,
    monkeypatch: pytest.MonkeyPatch,
    setting: dict[str, str],
    words: str,
) -> None:
    (certified / "words.pem").write_text("words")
    for name, value in setting.items():
        monkeypatch.setenv(name, str(certified / value) if "." in value else value)
    with pytest.raises(InputError, match=words) as caught:
        save_image(picture, tmp_path / "a.png", {})
    assert "\n" not in str(caught.value)
    assert list(tmp_path.iterdir()) == []


def test_asked_before_long_work(certified: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert check_surroundings()
    monkeypatch.delenv(signing.CERT)
    with pytest.raises(InputError, match="set alone"):
        check_surroundings()


def test_without_the_library_it_is_named(tmp_path: Path, certified: Path) -> None:
    code = f"""
import sys
sys.modules["c2pa"] = None
sys.path.insert(0, {str(Path(signing.__file__).parents[2])!r})
from PIL import Image
from mien.provenance import save_image
from mien.types import InputError
try:
    save_image(Image.new("RGB", (64, 64)), {str(tmp_path / "a.png")!r}, {{}})
except InputError as error:
    print(error)
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert "mien[c2pa]" in told and list(tmp_path.iterdir()) == []


def test_pixels_are_those_of_an_unsigned_picture(
    tmp_path: Path, picture: Image.Image, certified: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    signed = save_image(picture, tmp_path / "a.png", {})
    monkeypatch.delenv(signing.CERT)
    monkeypatch.delenv(signing.KEY)
    unsigned = save_image(picture, tmp_path / "b.png", {})
    assert np.array_equal(np.asarray(Image.open(signed)), np.asarray(Image.open(unsigned)))
    assert signed.stat().st_size > unsigned.stat().st_size
