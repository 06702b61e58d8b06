"""Makes keys, as an operator would."""

import secrets
from functools import partial
from typing import Self

import grpc
from google.protobuf import duration_pb2, field_mask_pb2, json_format
from portcullis.v1 import (
    api_key_pb2,
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    keyspace_service_pb2,
    keyspace_service_pb2_grpc,
    verification_service_pb2,
    verification_service_pb2_grpc,
)

from . import patience
from .failure import Failure
from .server import Server
from .wallet import Wallet

TIMEOUT_SECONDS = 60
OVERLAP = duration_pb2.Duration(seconds=86400)


class Management:
    """Calls a server with all rights."""

    def __init__(self, server: Server) -> None:
        self._channel = grpc.insecure_channel(server.address)
        self._keys = api_key_service_pb2_grpc.ApiKeyServiceStub(self._channel)
        self._as = {"metadata": [("authorization", f"Bearer {server.root_key}")], "timeout": TIMEOUT_SECONDS}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_) -> None:
        self._channel.close()

    def make_keyspace(self, name: str, prefix: str) -> None:
        """Makes a keyspace whose keys start with `prefix`."""
        wanted = keyspace_service_pb2.Keyspace(id=name, key_prefix=prefix)
        keyspaces = keyspace_service_pb2_grpc.KeyspaceServiceStub(self._channel)
        keyspaces.CreateKeyspace(keyspace_service_pb2.CreateKeyspaceRequest(keyspace=wanted), **self._as)

    def make_root_key(self, name: str, permission: str, wallet: Wallet) -> str:
        """Makes a root key with one permission; its secret."""
        made = self._create(name, {"keyspace": "system", "subject": "guard", "scopes": [permission]})
        return wallet.add(name, made.secret)

    def make_keys(self, table: dict[str, dict], wallet: Wallet) -> None:
        """Makes all keys of keys.json, and puts them into the wallet."""
        for name, wanted in table.items():
            self.make_key(name, wanted, wallet)
        # Last, so that the others are made meanwhile.
        for name, wanted in table.items():
            if wanted.get("then") == "expire":
                secret = wallet.fill(f"${{{name}}}")
                patience.until(partial(self._has_expired, secret), f"{name} expires")

    def make_key(self, name: str, wanted: dict, wallet: Wallet) -> None:
        """Makes one key, and does with it what its `then` says."""
        wanted = dict(wanted)
        then = wanted.pop("then", "")
        match then:
            case "import":
                self._import(name, wanted, wallet)
                return
            case "expire":
                wanted["ttl"] = "1s"
        made = self._create(name, wanted)
        secret, key_id = made.secret, made.api_key.id
        match then:
            case "" | "expire":
                pass
            case "revoke":
                self._revoke(key_id)
            case "disable":
                self._disable(key_id)
            case "disable, revoke":
                self._disable(key_id)
                self._revoke(key_id)
            case "delete":
                self._keys.DeleteApiKey(api_key_service_pb2.DeleteApiKeyRequest(id=key_id), **self._as)
            case "rotate, keep the old secret":
                wallet.add(f"{name}, new", self._rotate(key_id))
            case "rotate with an overlap, keep the old secret":
                wallet.add(f"{name}, new", self._rotate(key_id, OVERLAP))
            case "rotate, keep the new secret":
                wallet.add(f"{name}, old", secret)
                secret = self._rotate(key_id)
            case _:
                raise Failure(f"keys.json: {name}: nobody knows how to {then!r}")
        wallet.add(name, secret, key_id)

    def _create(self, name: str, wanted: dict) -> api_key_service_pb2.CreateApiKeyResponse:
        request = _parse(name, wanted, api_key_service_pb2.CreateApiKeyRequest())
        return self._keys.CreateApiKey(request, **self._as)

    def _import(self, name: str, wanted: dict, wallet: Wallet) -> None:
        # A key that begins as others did would be taken for another guess at theirs.
        unique = secrets.token_hex(8)
        wanted = {
            field: value.replace("${random}", unique) if isinstance(value, str) else value
            for field, value in wanted.items()
        }
        entry = _parse(name, wanted, api_key_service_pb2.ApiKeyImport())
        request = api_key_service_pb2.ImportApiKeysRequest(entries=[entry])
        [result] = self._keys.ImportApiKeys(request, **self._as).results
        if not result.HasField("api_key"):
            raise Failure(f"keys.json: {name}: not imported: {result.status.message}")
        # Of a hash nobody knows the secret: what is known is how it begins.
        wallet.add(name, wanted.get("plaintext") or wanted["lookup_prefix"], result.api_key.id)

    def _revoke(self, key_id: str) -> None:
        self._keys.RevokeApiKey(api_key_service_pb2.RevokeApiKeyRequest(id=key_id), **self._as)

    def _disable(self, key_id: str) -> None:
        off = api_key_pb2.ApiKey(id=key_id, enabled=False)
        mask = field_mask_pb2.FieldMask(paths=["enabled"])
        self._keys.UpdateApiKey(api_key_service_pb2.UpdateApiKeyRequest(api_key=off, update_mask=mask), **self._as)

    def _rotate(self, key_id: str, overlap: duration_pb2.Duration | None = None) -> str:
        request = api_key_service_pb2.RotateApiKeyRequest(id=key_id, overlap=overlap)
        return self._keys.RotateApiKey(request, **self._as).secret

    def _has_expired(self, secret: str) -> bool:
        gate = verification_service_pb2_grpc.VerificationServiceStub(self._channel)
        answer = gate.Verify(verification_service_pb2.VerifyRequest(key=secret), **self._as)
        return answer.verdict == verification_service_pb2.VERDICT_EXPIRED


def _parse(name: str, wanted: dict, message):
    fields = {"name": name, **wanted}
    if limit := fields.pop("rate_limit", None):
        fields["rate_limit"] = {"limit": limit["limit"], "window": f"{limit['window_seconds']}s"}
    if (left := fields.pop("credits", None)) is not None:
        fields["credits"] = {"remaining": left}
    return json_format.ParseDict(fields, message)
