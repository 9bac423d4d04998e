"""A C2PA manifest (Content Credentials), for users who have a certificate; needs ``mien[c2pa]``. https://spec.c2pa.org

`MIEN_C2PA_CERT` names the PEM file of the certificate and its chain, the signer's first, `MIEN_C2PA_KEY` that of the
private key, `MIEN_C2PA_ALG` the algorithm (es256 if it is not set). All that is written is then signed. Nothing here
uses the network: no time stamps, no remote manifests.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

from mien.errors import WHY, InputError, choice, optional, reason, saying
from mien.provenance.metadata import SOFTWARE, source_type_of

CERT, KEY, ALGORITHM = "MIEN_C2PA_CERT", "MIEN_C2PA_KEY", "MIEN_C2PA_ALG"
_ALGORITHMS = ("es256", "es384", "es512", "ps256", "ps384", "ps512", "ed25519")
_SETTINGS = {
    "verify": {"remote_manifest_fetch": False, "ocsp_fetch": False},
    "builder": {"thumbnail": {"enabled": False}},  # it would be larger than the picture
}


def wanted() -> bool:
    """Whether the user gave a certificate, which is looked at as far as can be without a picture to sign. Raises
    `InputError`: it or its key is missing or cannot be used, or the library is missing."""
    given = [name for name in (CERT, KEY) if os.environ.get(name)]
    if len(given) == 1:
        raise InputError(f"{given[0]} is set alone: a signature needs {CERT} and {KEY}.")
    if given:
        _library()
        _algorithm()
        for name in given:
            _pem(name)
    return bool(given)


def sign(path: Path, media_type: str, source_type: str) -> None:
    """Add a signed manifest to the picture at `path`, in place. media_type: "image/png", … source_type: IPTC's. Raises
    `InputError`: the library is missing, or the certificate or key cannot be used."""
    c2pa = _library()
    name, version = SOFTWARE.split()
    manifest = {
        "claim_generator_info": [{"name": name, "version": version}],
        "assertions": [
            {
                "label": "c2pa.actions.v2",
                "data": {"actions": [{"action": "c2pa.created", "digitalSourceType": source_type}]},
            }
        ],
    }
    signed = path.with_name(f"{path.stem}.c2pa{path.suffix}")
    unfit = f"{os.environ[CERT]} and {os.environ[KEY]} cannot sign ({WHY}): check that they belong together, that "
    unfit += f"{ALGORITHM} fits them, and that the file holds the whole chain."
    try:
        with saying(unfit, c2pa.C2paError):
            info = c2pa.C2paSignerInfo(_algorithm(), _pem(CERT), _pem(KEY), None)
            context = c2pa.Context(c2pa.Settings.from_dict(_SETTINGS))
            with (
                c2pa.Signer.from_info(info) as signer,
                c2pa.Builder(json.dumps(manifest), context) as builder,
                path.open("rb") as source,
                signed.open("w+b") as target,
            ):
                builder.sign(signer, media_type, source, target)
            os.replace(signed, path)
    finally:
        signed.unlink(missing_ok=True)


def read_manifest(path: Path, media_type: str) -> dict[str, Any] | None:
    """What the picture's C2PA manifest says; None if it has none; `InputError` if the library is missing.

    Returns:
        ``state``: "Valid" (intact, signed by somebody we have no reason to trust), "Trusted" or "Invalid";
            ``problems``: codes of what is wrong; ``signer``, ``software``, ``source_types``.
    """
    c2pa = _library()
    context = c2pa.Context(c2pa.Settings.from_dict(_SETTINGS))
    with path.open("rb") as handle:
        try:
            reader = c2pa.Reader.try_create(media_type, handle, context=context)
        except c2pa.C2paError as error:
            return {"state": "Invalid", "problems": [reason(error)]}
        if reader is None:
            return None
        with reader:
            store = json.loads(reader.json())
    active = store.get("manifests", {}).get(store.get("active_manifest"), {})
    signature = active.get("signature_info", {})
    generator: dict[str, Any] = next(iter(active.get("claim_generator_info") or []), {})
    actions = [
        action
        for assertion in active.get("assertions", [])
        if assertion.get("label", "").startswith("c2pa.actions")
        for action in assertion.get("data", {}).get("actions", [])
    ]
    return {
        "state": store.get("validation_state", "Invalid"),
        "problems": sorted({one.get("code", "") for one in store.get("validation_status", [])}),
        "signer": signature.get("common_name") or signature.get("issuer"),
        "software": generator.get("name"),
        "source_types": [
            source_type_of(str(a["digitalSourceType"])) for a in actions if "digitalSourceType" in a
        ],
    }


def available() -> bool:
    """Whether the library is installed."""
    from importlib.util import find_spec

    return find_spec("c2pa") is not None


def _library() -> Any:
    return optional("c2pa", 'C2PA manifests need a library: pip install "mien[c2pa]".')


def _algorithm() -> str:
    return str(choice(os.environ.get(ALGORITHM, "es256").lower(), _ALGORITHMS, ALGORITHM))


def _pem(variable: str) -> bytes:
    path = os.environ[variable]
    with saying(f"{path}, named by {variable}, cannot be read: check its name.", OSError):
        data = Path(path).read_bytes()
    if b"-----BEGIN" not in data:
        raise InputError(f"{path}, named by {variable}, is not a PEM file: convert it with openssl.")
    return data
