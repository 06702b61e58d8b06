"""The services as a caller in Python sees them, through stubs generated from proto/ and errors decoded by grpcio-status.

PORTCULLIS_ADDR says where the service listens, PORTCULLIS_ROOT_KEY holds an admin root key.
"""

import datetime
import itertools
import os
import time
import unittest

import grpc
from google.protobuf import duration_pb2, field_mask_pb2, json_format, struct_pb2
from google.rpc import error_details_pb2
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_status import rpc_status

from portcullis.v1 import (
    api_key_pb2,
    api_key_service_pb2,
    api_key_service_pb2_grpc,
    audit_service_pb2,
    audit_service_pb2_grpc,
    error_reason_pb2,
    keyspace_service_pb2,
    keyspace_service_pb2_grpc,
    verification_service_pb2,
    verification_service_pb2_grpc,
)

ADDR = os.environ["PORTCULLIS_ADDR"]
ROOT_KEY = os.environ["PORTCULLIS_ROOT_KEY"]
# Far longer than a call takes, so that a loaded machine does not matter.
PATIENCE = 60

# A combining accent, an emoji of several code points, and text that runs from right to left.
NAME = "cle\u0301 \U0001f468\u200d\U0001f469\u200d\U0001f467 مفتاح"
CLAIMS = {"plan": "pro", "seats": 3, "beta": True, "nested": {"tags": ["a", None]}}

Create = api_key_service_pb2.CreateApiKeyRequest
Id = api_key_service_pb2.GetApiKeyRequest


class Bearer(grpc.UnaryUnaryClientInterceptor):
    """Puts a root key on every call, and a limit on its time."""

    def __init__(self, root_key):
        self.metadata = [("authorization", f"Bearer {root_key}")] if root_key else []

    def intercept_unary_unary(self, call, details, request):
        return call(details._replace(metadata=self.metadata, timeout=PATIENCE), request)


class Caller:
    """The stubs of every service, with one root key."""

    def __init__(self, channel, root_key):
        channel = grpc.intercept_channel(channel, Bearer(root_key))
        self.keys = api_key_service_pb2_grpc.ApiKeyServiceStub(channel)
        self.keyspaces = keyspace_service_pb2_grpc.KeyspaceServiceStub(channel)
        self.audit = audit_service_pb2_grpc.AuditServiceStub(channel)
        self.verification = verification_service_pb2_grpc.VerificationServiceStub(channel)


def struct(value):
    return json_format.ParseDict(value, struct_pb2.Struct())


def verdict_name(answer):
    return verification_service_pb2.Verdict.Name(answer.verdict).removeprefix("VERDICT_")


class Walk(unittest.TestCase):
    maxDiff = None

    def setUp(self):
        self.channel = grpc.insecure_channel(ADDR)
        self.addCleanup(self.channel.close)
        self.admin = Caller(self.channel, ROOT_KEY)

    def create(self, **fields):
        """A new key and its secret."""
        fields = {"name": "a key", "subject": "user_1"} | fields
        made = self.admin.keys.CreateApiKey(Create(**fields))
        return made.api_key, made.secret

    def verify(self, secret, **fields):
        answer = self.admin.verification.Verify(verification_service_pb2.VerifyRequest(key=secret, **fields))
        self.assertEqual(answer.valid, verdict_name(answer) == "VALID", answer)
        return answer

    def assert_verdict(self, expect, secret, **fields):
        answer = self.verify(secret, **fields)
        self.assertEqual(verdict_name(answer), expect, answer)
        return answer

    def listed(self, **fields):
        answer = self.admin.keys.ListApiKeys(api_key_service_pb2.ListApiKeysRequest(**fields))
        return [key.id for key in answer.api_keys]

    def refused(self, code, reason, call, request):
        """Checks that a call fails so; its error details by their type."""
        with self.assertRaises(grpc.RpcError) as caught:
            call(request)
        return self.details_of(caught.exception, code, reason)

    def details_of(self, error, code, *reasons):
        self.assertEqual(error.code(), code, error.details())
        status = rpc_status.from_call(error)
        self.assertIsNotNone(status, "an error carries google.rpc.Status")
        self.assertEqual((status.code, status.message), (code.value[0], error.details()))
        details = {}
        for packed in status.details:
            kind = packed.TypeName().removeprefix("google.rpc.")
            message = getattr(error_details_pb2, kind)()
            self.assertTrue(packed.Unpack(message), packed)
            details[kind] = message
        info = details["ErrorInfo"]
        self.assertEqual(info.domain, "portcullis.v1")
        error_reason_pb2.ErrorReason.Value(info.reason)
        self.assertIn(info.reason, [f"ERROR_REASON_{reason}" for reason in reasons], info)
        return details

    def test_the_life_of_a_key(self):
        metadata = {"team": "κήποι", "tier": "gold"}
        scopes = ["orders:read", "orders:write"]
        key, first = self.create(
            name=NAME, scopes=scopes, claims=struct(CLAIMS), metadata=metadata, ttl=duration_pb2.Duration(seconds=3600)
        )
        self.assertRegex(first, r"^ak_[0-9A-Za-z]{54}$")
        self.assertRegex(key.id, r"^key_[0-9A-Z]{26}$")
        self.assertEqual((key.name, key.keyspace, key.subject), (NAME, "default", "user_1"))
        self.assertEqual(key.state, api_key_pb2.API_KEY_STATE_ACTIVE)
        self.assertEqual(dict(key.metadata), metadata)
        self.assertEqual(json_format.MessageToDict(key.claims), CLAIMS)
        self.assertEqual(key.expire_time.ToDatetime() - key.create_time.ToDatetime(), datetime.timedelta(hours=1))
        self.assertTrue(first.startswith(key.hint.removesuffix("…")), key.hint)
        self.assertEqual(len(key.secrets), 1)
        self.assertNotIn(first, str(self.admin.keys.GetApiKey(Id(id=key.id))), "the secret is shown once")

        # Other keys live in this keyspace too, so each filter must find this one and leave that one out.
        other, _ = self.create(name="another", subject="org_2", metadata={"tier": "gold"}, created_by="ci")
        self.assertEqual(self.listed()[:2], [other.id, key.id], "newest first")
        self.assertEqual(self.listed(metadata=metadata), [key.id])
        self.assertEqual(self.listed(metadata={"tier": "gold"}), [other.id, key.id])
        self.assertEqual(self.listed(query=NAME[:5].upper()), [key.id])
        self.assertEqual(self.listed(query="%"), [], "% is a plain character")
        self.assertEqual(self.listed(subject="org_2", created_by="ci"), [other.id])
        page = self.admin.keys.ListApiKeys(api_key_service_pb2.ListApiKeysRequest(metadata={"tier": "gold"}, page_size=1))
        self.assertEqual((page.total_size, [k.id for k in page.api_keys]), (2, [other.id]))
        rest = self.listed(metadata={"tier": "gold"}, page_size=1, page_token=page.next_page_token)
        self.assertEqual(rest, [key.id])

        answer = self.assert_verdict("VALID", first, required_scopes=["orders:write"])
        self.assertEqual((answer.key_id, answer.keyspace, answer.subject), (key.id, "default", "user_1"))
        self.assertEqual(list(answer.scopes), scopes)
        self.assertEqual(json_format.MessageToDict(answer.claims), CLAIMS)
        self.assertEqual(answer.expire_time, key.expire_time)

        narrowed = api_key_pb2.ApiKey(id=key.id, scopes=["orders:read"], name="not in the mask", etag=key.etag)
        update = api_key_service_pb2.UpdateApiKeyRequest(
            api_key=narrowed, update_mask=field_mask_pb2.FieldMask(paths=["scopes"])
        )
        updated = self.admin.keys.UpdateApiKey(update).api_key
        self.assertEqual((updated.name, list(updated.scopes)), (NAME, ["orders:read"]))
        answer = self.assert_verdict("INSUFFICIENT_SCOPE", first, required_scopes=scopes)
        self.assertEqual(list(answer.missing_scopes), ["orders:write"])
        self.assertEqual(list(answer.scopes), ["orders:read"])
        self.assertFalse(answer.HasField("claims"), "only VALID shows claims")
        self.assert_verdict("VALID", first, any_of_scopes=scopes)
        # The etag was the one before.
        self.refused(grpc.StatusCode.ABORTED, "ETAG_MISMATCH", self.admin.keys.UpdateApiKey, update)

        rotate = api_key_service_pb2.RotateApiKeyRequest(id=key.id, overlap=duration_pb2.Duration(seconds=600))
        rotated = self.admin.keys.RotateApiKey(rotate)
        second = rotated.secret
        self.assertNotEqual(first, second)
        self.assertEqual(rotated.api_key.id, key.id)
        self.assertEqual(len(rotated.api_key.secrets), 2)
        self.assertEqual(rotated.api_key.secrets[1].expire_time, rotated.previous_secret_expire_time)
        for secret in (first, second):
            self.assertEqual(self.assert_verdict("VALID", secret).key_id, key.id)

        revoke = api_key_service_pb2.RevokeApiKeyRequest(
            secret=first, reason=api_key_pb2.REVOCATION_REASON_KEY_COMPROMISE, comment="found in a log"
        )
        revoked = self.admin.keys.RevokeApiKey(revoke).api_key
        self.assertEqual((revoked.id, revoked.state), (key.id, api_key_pb2.API_KEY_STATE_REVOKED))
        self.assertEqual(revoked.revocation_reason, api_key_pb2.REVOCATION_REASON_KEY_COMPROMISE)
        self.assertEqual(revoked.revocation_comment, "found in a log")
        self.assertEqual(len(revoked.secrets), 0)
        for secret in (first, second):
            answer = self.assert_verdict("REVOKED", secret)
            self.assertEqual((answer.key_id, list(answer.scopes)), (key.id, []))
        by_id = api_key_service_pb2.RevokeApiKeyRequest(id=key.id)
        self.assertEqual(self.admin.keys.RevokeApiKey(by_id).api_key, revoked, "revoking again changes nothing")
        details = self.refused(
            grpc.StatusCode.FAILED_PRECONDITION, "KEY_REVOKED", self.admin.keys.RotateApiKey, rotate
        )
        self.assertNotIn("RetryInfo", details, "trying again would not help")
        self.assertEqual(self.listed(metadata=metadata), [])
        self.assertEqual(self.listed(metadata=metadata, include_invalid=True), [key.id])

        self.admin.keys.DeleteApiKey(api_key_service_pb2.DeleteApiKeyRequest(id=key.id))
        self.assert_verdict("NOT_FOUND", first)
        self.refused(grpc.StatusCode.NOT_FOUND, "KEY_NOT_FOUND", self.admin.keys.GetApiKey, Id(id=key.id))

        trail = audit_service_pb2.ListAuditEventsRequest(key_id=key.id)
        events = self.admin.audit.ListAuditEvents(trail).audit_events
        self.assertEqual(
            [event.action for event in events],
            ["DeleteApiKey", "RevokeApiKey", "RotateApiKey", "UpdateApiKey", "CreateApiKey"],
        )
        self.assertEqual(list(events[3].changes["scopes"]), ["orders:read"])
        for secret in (first, second):
            # The 32 characters that prove possession, without prefix, lookup and checksum.
            self.assertNotIn(secret[-38:-6], str(events))

    def test_every_bad_field_is_named(self):
        bad = Create(
            name=" padded",
            subject="no spaces",
            description="x" * 1001,
            scopes=["ok", "Not Ok"],
            metadata={"k" * 65: ""},
            ttl=duration_pb2.Duration(seconds=-1),
        )
        details = self.refused(
            grpc.StatusCode.INVALID_ARGUMENT, "FIELD_INVALID", self.admin.keys.CreateApiKey, bad
        )
        violations = details["BadRequest"].field_violations
        self.assertEqual(
            [violation.field for violation in violations],
            ["name", "subject", "description", "metadata", "scopes[1]", "ttl"],
        )
        self.assertTrue(all(violation.description for violation in violations), violations)
        self.assertNotIn("RetryInfo", details)

    def test_a_repeated_request_makes_no_second_key(self):
        key, _ = self.create(request_id="8d1f7c1e-once")
        again = Create(name="a key", subject="user_1", request_id="8d1f7c1e-once")
        details = self.refused(
            grpc.StatusCode.ALREADY_EXISTS, "REQUEST_ID_USED", self.admin.keys.CreateApiKey, again
        )
        self.assertEqual(details["ErrorInfo"].metadata["key_id"], key.id)
        self.assertEqual(details["ResourceInfo"].resource_name, key.id)

    def test_keyspaces_are_worlds_apart(self):
        day = duration_pb2.Duration(seconds=86400)
        keyspace = keyspace_service_pb2.Keyspace(
            id="prod", key_prefix="ak_live", max_ttl=day, allowed_subject_types=["org"]
        )
        create = keyspace_service_pb2.CreateKeyspaceRequest(keyspace=keyspace)
        made = self.admin.keyspaces.CreateKeyspace(create).keyspace
        self.assertEqual((made.id, made.key_prefix, made.max_ttl), ("prod", "ak_live", day))
        self.assertEqual(made.hash_policy, keyspace_service_pb2.HASH_POLICY_SHA256)
        self.refused(
            grpc.StatusCode.ALREADY_EXISTS, "KEYSPACE_EXISTS", self.admin.keyspaces.CreateKeyspace, create
        )
        all_of_them = self.admin.keyspaces.ListKeyspaces(keyspace_service_pb2.ListKeyspacesRequest()).keyspaces
        self.assertLessEqual({"default", "prod", "system"}, {keyspace.id for keyspace in all_of_them})

        details = self.refused(
            grpc.StatusCode.INVALID_ARGUMENT,
            "FIELD_INVALID",
            self.admin.keys.CreateApiKey,
            Create(keyspace="prod", name="n", subject="user_1", ttl=duration_pb2.Duration(seconds=86401)),
        )
        fields = [violation.field for violation in details["BadRequest"].field_violations]
        self.assertEqual(sorted(fields), ["subject", "ttl"], "the keyspace's rules")

        key, secret = self.create(keyspace="prod", subject="org_7")
        self.assertRegex(secret, r"^ak_live_[0-9A-Za-z]{54}$")
        self.assertEqual(key.expire_time.ToDatetime() - key.create_time.ToDatetime(), datetime.timedelta(days=1))
        self.assert_verdict("VALID", secret)
        self.assert_verdict("VALID", secret, keyspace="prod")
        self.assert_verdict("NOT_FOUND", secret, keyspace="default")
        delete = keyspace_service_pb2.DeleteKeyspaceRequest(id="prod")
        self.refused(
            grpc.StatusCode.FAILED_PRECONDITION, "KEYSPACE_NOT_EMPTY", self.admin.keyspaces.DeleteKeyspace, delete
        )
        self.admin.keys.DeleteApiKey(api_key_service_pb2.DeleteApiKeyRequest(id=key.id))
        self.admin.keyspaces.DeleteKeyspace(delete)
        get = keyspace_service_pb2.GetKeyspaceRequest(id="prod")
        self.refused(grpc.StatusCode.NOT_FOUND, "KEYSPACE_NOT_FOUND", self.admin.keyspaces.GetKeyspace, get)

    def test_callers_may_do_what_their_root_key_says(self):
        _, customers = self.create()
        ask = verification_service_pb2.VerifyRequest(key=customers)
        nobody, stranger = Caller(self.channel, None), Caller(self.channel, customers)
        for caller, reason in ((nobody, "CREDENTIAL_MISSING"), (stranger, "CREDENTIAL_INVALID")):
            self.refused(grpc.StatusCode.UNAUTHENTICATED, reason, caller.verification.Verify, ask)

        _, root_key = self.create(keyspace="system", name="gateway", scopes=["keys:verify@default"])
        self.assertRegex(root_key, r"^root_[0-9A-Za-z]{54}$")
        gateway = Caller(self.channel, root_key)
        self.assertTrue(gateway.verification.Verify(ask).valid)
        # Denied before anything is looked at: a request without a name is not told that it lacks one.
        details = self.refused(
            grpc.StatusCode.PERMISSION_DENIED, "PERMISSION_MISSING", gateway.keys.CreateApiKey, Create()
        )
        self.assertEqual(details["ErrorInfo"].metadata["permission"], "keys:write")
        self.assertEqual(set(details), {"ErrorInfo"})

    def test_the_overloaded_say_when_to_try_again(self):
        keyspace = keyspace_service_pb2.Keyspace(id="slow", hash_policy=keyspace_service_pb2.HASH_POLICY_ARGON2ID)
        self.admin.keyspaces.CreateKeyspace(keyspace_service_pb2.CreateKeyspaceRequest(keyspace=keyspace))
        request = Create(keyspace="slow", name="n", subject="user_1")
        # Creations that wait or run are bounded; until one is refused, ask for more than are done in the meantime.
        calls, deadline = [], time.monotonic() + PATIENCE
        for made in itertools.count():
            self.assertLess(time.monotonic(), deadline, f"none of {made} creations was refused")
            calls.append(self.admin.keys.CreateApiKey.future(request))
            refused = [call for call in calls if call.done() and call.exception()]
            if refused:
                break
        for call in calls:
            call.cancel()
        # Creations wait for a place first, and then for a hash.
        reasons = ("MANAGEMENT_BUSY", "HASHING_BUSY")
        details = self.details_of(refused[0].exception(), grpc.StatusCode.RESOURCE_EXHAUSTED, *reasons)
        self.assertGreater(details["RetryInfo"].retry_delay.ToTimedelta(), datetime.timedelta())

    def test_every_service_is_healthy(self):
        health = health_pb2_grpc.HealthStub(self.channel)
        names = ["", "liveness", "readiness"]
        names += [f"portcullis.v1.{name}Service" for name in ("ApiKey", "Audit", "Keyspace", "Verification")]
        for name in names:
            answer = health.Check(health_pb2.HealthCheckRequest(service=name), timeout=PATIENCE)
            self.assertEqual(answer.status, health_pb2.HealthCheckResponse.SERVING, name)


if __name__ == "__main__":
    unittest.main(verbosity=2)
