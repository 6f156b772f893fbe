"""The account and its SSH keys: https://docs.digitalocean.com/reference/api/digitalocean/#tag/SSH-Keys."""

from __future__ import annotations

import base64
import binascii
import hashlib
from http import HTTPStatus

from pydantic import BaseModel
from starlette.responses import JSONResponse, Response

from sandbox.api.cloud import JSON, Call, no_content, route
from sandbox.api.errors import not_found, unprocessable
from sandbox.api.state import SshKey, State

_KINDS = frozenset({"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521"})


def fingerprint(public_key: str) -> str:
    """MD5 of the key's blob in hex with colons, as DigitalOcean names keys.

    Raises:
        ValueError: it is no public key in OpenSSH's format.
    """
    kind, blob, *_ = [*public_key.split(), "", ""]
    if kind not in _KINDS:
        raise ValueError(kind)
    try:
        content = base64.b64decode(blob, validate=True)
    except binascii.Error as error:
        raise ValueError(blob) from error
    length = len(kind)
    if content[: 4 + length] != length.to_bytes(4, "big") + kind.encode():
        raise ValueError(blob)
    digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
    return ":".join(digest[i : i + 2] for i in range(0, len(digest), 2))


def find_key(state: State, team: str, identifier: str | int) -> SshKey | None:
    """A team's key by id or fingerprint."""
    for key in state.ssh_keys:
        if key.team == team and str(identifier) in {str(key.id), key.fingerprint}:
            return key
    return None


def add_key(state: State, team: str, name: str, public_key: str) -> SshKey:
    """Keep a key that was checked."""
    return state.ssh_keys.put(
        SshKey(state.next_id("ssh key", 45_000_000), team, name, public_key.strip(), fingerprint(public_key))
    )


def _json(key: SshKey) -> JSON:
    return {"id": key.id, "name": key.name, "public_key": key.public_key, "fingerprint": key.fingerprint}


async def _account(call: Call) -> Response:
    team = call.team
    account = {
        "droplet_limit": team.droplet_limit,
        "floating_ip_limit": 5,
        "reserved_ip_limit": 5,
        "volume_limit": 100,
        "email": "operations@" + next(iter(d.name for d in call.state.domains), "example.com"),
        "name": team.name,
        "uuid": team.uuid,
        "email_verified": True,
        "status": "active",
        "status_message": "",
        "team": {"uuid": team.uuid, "name": team.name},
    }
    return JSONResponse({"account": account})


class _NewKey(BaseModel):
    name: str
    public_key: str


class _Rename(BaseModel):
    name: str


async def _list(call: Call) -> Response:
    return call.page("ssh_keys", [_json(key) for key in call.state.ssh_keys if key.team == call.team.name])


async def _create(call: Call) -> Response:
    body = await call.body(_NewKey)
    if not body.name.strip():
        raise unprocessable("Name can't be blank")
    try:
        print_ = fingerprint(body.public_key)
    except ValueError:
        raise unprocessable("Key invalid, key should be of the format `type key [comment]`") from None
    if find_key(call.state, call.team.name, print_) is not None:
        raise unprocessable("SSH Key is already in use on your account")
    key = add_key(call.state, call.team.name, body.name, body.public_key)
    return JSONResponse({"ssh_key": _json(key)}, status_code=HTTPStatus.CREATED)


def _key(call: Call) -> SshKey:
    key = find_key(call.state, call.team.name, call.path("id"))
    if key is None:
        raise not_found()
    return key


async def _show(call: Call) -> Response:
    return JSONResponse({"ssh_key": _json(_key(call))})


async def _rename(call: Call) -> Response:
    key = _key(call)
    key.name = (await call.body(_Rename)).name
    call.state.ssh_keys.put(key)
    return JSONResponse({"ssh_key": _json(key)})


async def _delete(call: Call) -> Response:
    call.state.ssh_keys.remove(_key(call))
    return no_content()


routes = [
    route("GET", "/v2/account", _account),
    route("GET", "/v2/account/keys", _list),
    route("POST", "/v2/account/keys", _create),
    route("GET", "/v2/account/keys/{id}", _show),
    route("PUT", "/v2/account/keys/{id}", _rename),
    route("DELETE", "/v2/account/keys/{id}", _delete),
]
