import json
import logging
import re
import time
import traceback
from pathlib import Path
from types import SimpleNamespace

import grpc
import pytest
from conftest import NOT_SERVING, PATIENCE, ROOT_KEY, SERVING, SILENCE
from google.protobuf.any_pb2 import Any
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import ErrorInfo, RetryInfo
from google.rpc.status_pb2 import Status

from portcullis import ANY_KEYSPACE, Identity, Refusal, v1
from portcullis._credential import Unusable, read_key

KEY = "ak_0123456789"


@pytest.fixture
def guard(kind, fake, connect):
    return kind.Guard(connect(fake.address), keyspace="default")


def refused(kind, guard, authorization=(f"Bearer {KEY}",), x_api_key=(), client_ip="127.0.0.1") -> Refusal:
    with pytest.raises(Refusal) as caught:
        kind.run(lambda: guard.check(authorization, x_api_key, client_ip))
    return caught.value


@pytest.mark.parametrize(
    ("authorization", "x_api_key", "expect"),
    [
        (["Bearer k"], [], "k"),
        ([], ["k"], "k"),
        (["bEaReR k"], [], "k"),
        (["Bearer    k"], [], "k"),
        (["\t Bearer k \t"], [], "k"),
        ([], [" k\t"], "k"),
        (["Basic b"], ["k"], "k"),
        (["Bearer k"], [""], "k"),
        (["Bearer"], ["k"], "k"),
        (["Bearer "], ["k"], "k"),
        ([""], ["k"], "k"),
        ([], ["Bearer"], "Bearer"),
        ([], ["!~"], "!~"),
        ([], ["x" * 512], "x" * 512),
        ([], [], "missing_key"),
        ([""], [""], "missing_key"),
        (["Bearer"], [], "missing_key"),
        (["Bearer "], [], "missing_key"),
        (["Bearer\tk"], [], "missing_key"),
        (["Bearerk"], [], "missing_key"),
        (["Basic b"], [], "missing_key"),
        (["k"], [], "missing_key"),
        (["Bearer a", "Bearer b"], [], "ambiguous_key"),
        (["Bearer a", "Bearer a"], [], "ambiguous_key"),
        (["Basic a", "Bearer b"], [], "ambiguous_key"),
        (["Bearer a, Bearer b"], [], "ambiguous_key"),
        (["Bearer a,"], [], "ambiguous_key"),
        ([], ["a", "b"], "ambiguous_key"),
        ([], ["a,b"], "ambiguous_key"),
        (["Bearer k"], ["k"], "ambiguous_key"),
        (["Bearer a b"], [], "invalid_key"),
        (["Bearer \tk"], [], "invalid_key"),
        ([], ["x" * 513], "invalid_key"),
        ([], ["schlüssel"], "invalid_key"),
        ([], ["\x7f"], "invalid_key"),
        ([], ["a\0b"], "invalid_key"),
    ],
)
def test_where_the_key_is(authorization, x_api_key, expect):
    if expect in ("missing_key", "ambiguous_key", "invalid_key"):
        with pytest.raises(Unusable) as caught:
            read_key(authorization, x_api_key)
        assert caught.value.code == expect
    else:
        assert read_key(authorization, x_api_key) == expect


def test_without_a_key_nobody_is_asked(kind, fake, guard):
    assert refused(kind, guard, [], []).code == "missing_key"
    assert refused(kind, guard, ["Bearer a, Bearer b"]).code == "ambiguous_key"
    assert refused(kind, guard, ["Bearer a b"]).code == "invalid_key"
    assert not fake.requests


def test_what_is_asked(kind, fake, connect):
    client = connect(fake.address)
    guard = kind.Guard(client, scopes=["a", "b"], any_of_scopes=("c",), keyspace="prod", cost=0)
    assert kind.run(lambda: guard.check([f"Bearer {KEY}"], [], "192.0.2.1")).authenticated
    asked = {"required_scopes": ["a", "b"], "any_of_scopes": ["c"], "keyspace": "prod", "cost": 0}
    assert fake.requests == [v1.VerifyRequest(key=KEY, client_ip="192.0.2.1", **asked)]
    assert fake.requests[0].HasField("cost")
    kind.run(lambda: kind.Guard(client, keyspace=ANY_KEYSPACE).check([], [KEY], "192.0.2.1"))
    assert fake.requests[1] == v1.VerifyRequest(key=KEY, client_ip="192.0.2.1")
    assert not fake.requests[1].HasField("cost")


@pytest.mark.parametrize(
    ("peer", "expect"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1"),
        (None, ""),
        ("", ""),
        ("testclient", ""),
        ("[2001:db8::1]", ""),
        ("192.0.2", ""),
        ("192.0.2.1:80", ""),
        ("a\0b", ""),
    ],
)
def test_only_an_address_is_passed_on(kind, fake, guard, peer, expect):
    kind.run(lambda: guard.check([], [KEY], peer))
    assert [request.client_ip for request in fake.requests] == [expect]


def test_options_that_mean_nothing(kind, connect):
    client = connect()
    for bad in ({"scopes": "orders:read"}, {"any_of_scopes": "orders:read"}, {"scopes": [1]}, {"cost": "1"}):
        with pytest.raises(TypeError):
            kind.Guard(client, **{"keyspace": "default", **bad})
    for option in ("false", 1, None):
        with pytest.raises(TypeError, match="dangerously"):
            kind.Guard(client, keyspace="default", dangerously_allow_when_unavailable=option)
    for realm in ("", "a\r\nb", "a\tb", "\x7f", "ä"):
        with pytest.raises(ValueError, match="realm"):
            kind.Guard(client, keyspace="default", realm=realm)


@pytest.mark.parametrize(
    ("verdict", "code"),
    [
        (v1.VERDICT_UNSPECIFIED, "denied"),
        (v1.VERDICT_VALID, "denied"),
        (v1.VERDICT_MALFORMED, "invalid_key"),
        (v1.VERDICT_NOT_FOUND, "invalid_key"),
        (v1.VERDICT_REVOKED, "revoked_key"),
        (v1.VERDICT_EXPIRED, "expired_key"),
        (v1.VERDICT_DISABLED, "disabled_key"),
        (v1.VERDICT_IP_NOT_ALLOWED, "ip_not_allowed"),
        (v1.VERDICT_INSUFFICIENT_SCOPE, "insufficient_scope"),
        (v1.VERDICT_RATE_LIMITED, "rate_limited"),
        (v1.VERDICT_CREDITS_EXHAUSTED, "credits_exhausted"),
        (99, "denied"),
    ],
)
def test_only_valid_opens(kind, fake, guard, verdict, code):
    fake.answers = [v1.VerifyResponse(verdict=verdict, missing_scopes=["a"])]
    refusal = refused(kind, guard)
    assert refusal.code == code
    assert refusal.missing_scopes == (("a",) if code == "insufficient_scope" else ())
    assert refusal.retry_after == (1 if code == "rate_limited" else None)
    assert len(fake.requests) == 1


def test_the_refusals_are_those_of_the_table():
    table = json.loads((Path(__file__).parents[2] / "conformance" / "refusals.json").read_text())
    for code, row in table.items():
        missing = ["a", "b"] if code == "insufficient_scope" else []
        refusal = Refusal(code, missing_scopes=missing)
        assert (refusal.status, refusal.message, str(refusal)) == (row["status"], row["message"], row["message"])
        challenge = row.get("challenge", "").replace("${missing_scopes}", "a b")
        assert refusal.headers.get("WWW-Authenticate", "") == challenge
        assert refusal.headers["Content-Type"] == "application/json"
        assert refusal.headers["Cache-Control"] == "no-store"
        said = {"error": code, "message": row["message"]} | ({"missing_scopes": missing} if missing else {})
        assert json.loads(refusal.body) == said


def test_missing_scopes_and_the_realm(kind, fake, connect):
    fake.answers = [v1.VerifyResponse(verdict=v1.VERDICT_INSUFFICIENT_SCOPE, missing_scopes=["a", "b"])]
    refusal = refused(kind, kind.Guard(connect(fake.address), keyspace="default", realm="the shop"))
    assert refusal.missing_scopes == ("a", "b")
    assert refusal.headers["WWW-Authenticate"].startswith('Bearer realm="the shop", error="insufficient_scope"')
    assert refusal.headers["WWW-Authenticate"].endswith(', scope="a b"')
    fake.answers = [v1.VerifyResponse(verdict=v1.VERDICT_INSUFFICIENT_SCOPE)]
    refusal = refused(kind, kind.Guard(connect(fake.address), keyspace="default"))
    assert "scope=" not in refusal.headers["WWW-Authenticate"]
    assert b"missing_scopes" not in refusal.body


def test_quotes_in_a_challenge():
    challenge = Refusal("insufficient_scope", realm='a"b\\c', missing_scopes=['d"e', "f\\g"]).headers[
        "WWW-Authenticate"
    ]
    assert challenge.startswith(r'Bearer realm="a\"b\\c", error=')
    assert challenge.endswith(r', scope="d\"e f\\g"')


@pytest.mark.parametrize(
    ("seconds", "nanos", "expect"), [(1060, 0, 60), (1060, 1, 61), (1000, 0, 1), (1, 0, 1), (9000, 0, 8000)]
)
def test_until_the_next_use(kind, fake, guard, monkeypatch, seconds, nanos, expect):
    monkeypatch.setattr("portcullis._policy.time", SimpleNamespace(time=lambda: 1000.0))
    answer = v1.VerifyResponse(verdict=v1.VERDICT_RATE_LIMITED)
    answer.rate_limit.retry_time.seconds, answer.rate_limit.retry_time.nanos = seconds, nanos
    fake.answers = [answer]
    refusal = refused(kind, guard)
    assert refusal.retry_after == expect
    assert refusal.headers["Retry-After"] == str(expect)


def details(*messages) -> bytes:
    packed = []
    for message in messages:
        packed.append(Any())
        packed[-1].Pack(message)
    return Status(details=packed).SerializeToString()


@pytest.mark.parametrize(
    ("sent", "expect"),
    [
        (None, 1),
        (b"", 1),
        (b"\xff\xff garbage", 1),
        (details(ErrorInfo(reason="R")), 1),
        (details(RetryInfo(retry_delay=Duration(nanos=1))), 1),
        (details(ErrorInfo(reason="R"), RetryInfo(retry_delay=Duration(seconds=2, nanos=1))), 3),
        (details(RetryInfo(retry_delay=Duration(seconds=5)), RetryInfo(retry_delay=Duration(seconds=9))), 5),
        (details(RetryInfo(retry_delay=Duration(seconds=600))), 60),
        (details(RetryInfo(retry_delay=Duration(seconds=-5))), 1),
    ],
)
def test_what_a_retry_info_says(kind, fake, guard, sent, expect):
    fake.answers, fake.details = [grpc.StatusCode.RESOURCE_EXHAUSTED], sent
    refusal = refused(kind, guard)
    assert (refusal.code, refusal.retry_after) == ("unavailable", expect)


@pytest.mark.parametrize("status", [status for status in grpc.StatusCode if status is not grpc.StatusCode.OK])
def test_only_an_outage_opens_and_only_by_demand(kind, fake, connect, caplog, status):
    fake.answers = [status]
    client = connect(fake.address)
    assert refused(kind, kind.Guard(client, keyspace="default")).code == "unavailable"
    assert [(record.levelname, status.name in record.message) for record in caplog.records] == [("ERROR", True)]
    caplog.clear()

    guard = kind.Guard(client, keyspace="default", dangerously_allow_when_unavailable=True)
    # A deadline is one only while Portcullis is not ready.
    if status is grpc.StatusCode.UNAVAILABLE:
        identity = kind.run(lambda: guard.check([], [KEY], None))
        assert not identity.authenticated
        assert identity.key_id is identity.subject is identity.user_id is identity.org_id is identity.keyspace is None
        assert (identity.scopes, identity.claims) == ((), {})
        assert [(record.levelname, status.name in record.message) for record in caplog.records] == [("WARNING", True)]
        assert refused(kind, guard, []).code == "missing_key"
    else:
        assert refused(kind, guard).code == "unavailable"


def test_nobody_there(kind, connect):
    # A port that nobody listens on.
    client = connect("http://127.0.0.1:1")
    assert refused(kind, kind.Guard(client, keyspace="default")).code == "unavailable"
    guard = kind.Guard(client, keyspace="default", dangerously_allow_when_unavailable=True)
    assert not kind.run(lambda: guard.check([], [KEY], None)).authenticated


def test_no_answer_in_time(kind, fake, connect):
    fake.is_silent = True
    client = connect(fake.address, timeout=0.1)
    assert refused(kind, kind.Guard(client, keyspace="default")).code == "unavailable"
    guard = kind.Guard(client, keyspace="default", dangerously_allow_when_unavailable=True)
    fake.readiness = SERVING
    assert stays_closed(kind, guard, fake)
    fake.readiness = NOT_SERVING
    assert opens_in_time(kind, guard)
    fake.readiness = SERVING
    while is_open(kind, guard):
        pass


def is_open(kind, guard) -> bool:
    try:
        return not kind.run(lambda: guard.check([], [KEY], None)).authenticated
    except Refusal:
        return False


def opens_in_time(kind, guard) -> bool:
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        if is_open(kind, guard):
            return True
        time.sleep(0.01)
    return False


def stays_closed(kind, guard, *asked) -> bool:
    """Asks until each of some fakes was asked about its health twice."""
    end = time.monotonic() + PATIENCE
    while any(len(fake.health_calls) < 2 for fake in asked):
        if is_open(kind, guard) or time.monotonic() > end:
            return False
        time.sleep(0.01)
    return not is_open(kind, guard)


@pytest.fixture
def failing(serve):
    """Makes servers whose calls end with a status, and an ErrorInfo of a domain."""

    def failing(status, domain="portcullis.v1", readiness=None):
        fake = serve()
        fake.answers, fake.details = [status], details(ErrorInfo(reason="R", domain=domain))
        fake.readiness = readiness
        return fake

    return failing


OF_PORTCULLIS = pytest.mark.parametrize("status", [grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED])


def test_unavailable_of_a_connection_opens_at_once(kind, connect, failing):
    fake = failing(grpc.StatusCode.UNAVAILABLE, "proxy.example", SERVING)
    assert is_open(kind, kind.Guard(connect(fake.address), keyspace="default", dangerously_allow_when_unavailable=True))
    assert not fake.health_calls


@OF_PORTCULLIS
@pytest.mark.parametrize("readiness", [NOT_SERVING, SILENCE])
def test_a_failure_of_portcullis_opens_while_no_replica_is_ready(kind, connect, failing, status, readiness):
    fake = failing(status, readiness=readiness)
    guard = kind.Guard(connect(fake.address), keyspace="default", dangerously_allow_when_unavailable=True)
    assert not is_open(kind, guard), "before health has answered"
    assert opens_in_time(kind, guard)
    assert not any("authorization" in call for call in fake.health_calls)


@OF_PORTCULLIS
def test_a_failure_of_portcullis_opens_nothing_while_a_replica_is_ready(kind, connect, failing, status):
    unready, ready = failing(status, readiness=NOT_SERVING), failing(status, readiness=SERVING)
    guard = kind.Guard(
        connect([unready.address, ready.address]), keyspace="default", dangerously_allow_when_unavailable=True
    )
    assert stays_closed(kind, guard, unready, ready)
    # What answers is there, whatever it answers.
    without = failing(status)
    guard = kind.Guard(connect(without.address), keyspace="default", dangerously_allow_when_unavailable=True)
    assert stays_closed(kind, guard, without)


@pytest.mark.parametrize("status", [grpc.StatusCode.RESOURCE_EXHAUSTED, grpc.StatusCode.INTERNAL])
def test_other_errors_ask_for_no_health(kind, connect, failing, status):
    fake = failing(status, readiness=NOT_SERVING)
    guard = kind.Guard(connect(fake.address), keyspace="default", dangerously_allow_when_unavailable=True)
    assert not is_open(kind, guard)
    assert not is_open(kind, guard)
    assert not fake.health_calls


def test_a_guard_that_never_opens_asks_for_no_health(kind, connect, failing):
    fake = failing(grpc.StatusCode.DEADLINE_EXCEEDED)
    refused(kind, kind.Guard(connect(fake.address), keyspace="default"))
    assert not fake.health_calls


def test_a_closed_client_opens_nothing(kind, fake):
    client = kind.Client(fake.address, root_key=ROOT_KEY, timeout=PATIENCE)
    guard = kind.Guard(client, keyspace="default", dangerously_allow_when_unavailable=True)
    kind.run(lambda: guard.check([], [KEY], None))
    kind.run(client.close)
    assert refused(kind, guard).code == "unavailable"


def test_no_secret_is_told(kind, fake, connect, caplog, capfd):
    caplog.set_level(logging.DEBUG)
    client = connect(fake.address)
    guard = kind.Guard(client, keyspace="default", dangerously_allow_when_unavailable=True)
    told = [repr(client), repr(guard)]
    secret = ["Bearer " + KEY]
    told.append(repr(kind.run(lambda: guard.check(secret, [], None))))
    for answer in [v1.VerifyResponse(verdict=v1.VERDICT_REVOKED), *grpc.StatusCode]:
        fake.answers = [answer]
        try:
            told.append(repr(kind.run(lambda: guard.check(secret, [], None))))
        except Refusal as refusal:
            told += [repr(refusal), repr(vars(refusal)), *traceback.format_exception(refusal)]
    for authorization in ([f"Bearer {KEY} {KEY}"], [f"Bearer {KEY}, {KEY}"], [KEY]):
        told += traceback.format_exception(refused(kind, guard, authorization))
    told += [caplog.text, *capfd.readouterr()]
    for text in told:
        # What the test itself says, tracebacks quote: there the key goes by its name.
        assert KEY not in text
        assert ROOT_KEY not in text


def test_the_identity_that_a_real_server_gives(kind, server, connect):
    client = connect(server)
    wanted = v1.CreateApiKeyRequest(name="n", subject="user_1", scopes=["orders:read", "orders:write"])
    wanted.claims.update({"plan": "pro", "seats": 3})
    wanted.credits.remaining = 5
    wanted.ttl.seconds = 3600
    made = kind.run(lambda: client.api_keys.CreateApiKey(wanted))
    guard = kind.Guard(client, keyspace="default", scopes=["orders:read"], cost=2)
    identity = kind.run(lambda: guard.check([f"Bearer {made.secret}"], [], "127.0.0.1"))
    assert identity.authenticated
    assert identity.key_id == made.api_key.id
    assert (identity.keyspace, identity.subject) == ("default", "user_1")
    assert (identity.user_id, identity.org_id) == ("user_1", None)
    assert identity.scopes == ("orders:read", "orders:write")
    assert identity.claims == {"plan": "pro", "seats": 3}
    assert identity.credits_remaining == 3
    assert identity.rate_limit is None
    assert identity.expire_time.timestamp() == pytest.approx(made.api_key.expire_time.ToSeconds(), abs=1)
    assert identity.expire_time.utcoffset().total_seconds() == 0
    assert made.secret not in repr(identity)


def test_subjects():
    def ids(subject):
        identity = Identity(v1.VerifyResponse(valid=True, subject=subject))
        return identity.subject, identity.user_id, identity.org_id

    assert ids("user_1") == ("user_1", "user_1", None)
    assert ids("org_1") == ("org_1", None, "org_1")
    assert ids("svc:user_1") == ("svc:user_1", None, None)
    assert ids("") == (None, None, None)


def test_a_limit_is_as_verify_says():
    limit = v1.RateLimitStatus(limit=3, remaining=2)
    assert Identity(v1.VerifyResponse(valid=True, rate_limit=limit)).rate_limit == limit
    assert re.fullmatch(r"Identity\(authenticated=False, .*\)", repr(Identity()))
