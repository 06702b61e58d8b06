import re
import subprocess
import time
import traceback

import grpc
import pytest
from conftest import PATIENCE, ROOT_KEY

import portcullis
from portcullis import aio, v1
from portcullis._addresses import target

ASKED = v1.VerifyRequest(key="k")


def test_a_root_key_is_needed(kind):
    with pytest.raises(ValueError, match="PORTCULLIS_ROOT_KEY"):
        kind.Client()
    with pytest.raises(ValueError, match="PORTCULLIS_ROOT_KEY"):
        kind.Client(root_key=" \n")


@pytest.mark.parametrize("bad", ["top secret", "tops\necret", "töpsecret"])
def test_a_root_key_that_no_header_can_carry_is_refused_unseen(kind, bad):
    with pytest.raises(ValueError, match="characters") as caught:
        kind.Client(root_key=bad)
    assert bad not in "".join(traceback.format_exception(caught.value))


def test_the_environment_says_where_and_who(kind, fake, monkeypatch):
    monkeypatch.setenv("PORTCULLIS_SERVER", fake.address)
    monkeypatch.setenv("PORTCULLIS_ROOT_KEY", "of_the_environment\n")
    client = kind.Client(timeout=PATIENCE)
    assert kind.run(lambda: client.verification.Verify(ASKED)).valid
    assert fake.callers == ["Bearer of_the_environment"]
    kind.run(client.close)


@pytest.mark.parametrize(
    "address",
    [
        "http://10.0.0.1:1",
        "http://example.com:1",
        "http://localhost.example.com:1",
        "http://[::ffff:127.0.0.1]:1",
        "http://[::]:1",
        "http://0.0.0.0:1",
    ],
)
def test_the_root_key_leaves_this_machine_encrypted(kind, address):
    with pytest.raises(ValueError, match="plain text"):
        kind.Client(address, root_key=ROOT_KEY)
    with pytest.raises(ValueError, match="plain text"):
        kind.Client(["http://127.0.0.1:1", "http://10.0.0.1:1"], root_key=ROOT_KEY)
    kind.Client(address, root_key=ROOT_KEY, allow_plaintext=True)


@pytest.mark.parametrize(
    "address", ["http://127.8.8.8:1", "http://[::1]:1", "http://LocalHost:1", "https://10.0.0.1:1"]
)
def test_what_needs_no_leave(kind, address):
    kind.Client(address, root_key=ROOT_KEY)


@pytest.mark.parametrize(
    "address",
    [
        [],
        "",
        "127.0.0.1:1",
        "ftp://127.0.0.1:1",
        "dns:///127.0.0.1:1",
        "http://",
        "http://:1",
        "http://127.0.0.1",
        "http://127.0.0.1:",
        "http://127.0.0.1:0",
        "http://127.0.0.1:x",
        "http://127.0.0.1:99999",
        "http://user:password@127.0.0.1:1",
        "http://127.0.0.1@example.com:1",
        "http://127.0.0.1:1/path",
        "http://127.0.0.1:1?query",
        "http://127.0.0.1:1#fragment",
        ["http://127.0.0.1:1", "https://127.0.0.1:2"],
    ],
)
def test_what_is_no_address(kind, address, monkeypatch):
    with pytest.raises(ValueError, match=r"http://HOST:PORT|all be") as caught:
        kind.Client(address, root_key=ROOT_KEY)
    assert "password" not in "".join(traceback.format_exception(caught.value))


def test_a_wrong_address_goes_by_its_number(kind):
    with pytest.raises(ValueError, match=r"^address 2 must be ") as caught:
        kind.Client(["http://127.0.0.1:1", ROOT_KEY], root_key=ROOT_KEY)
    assert ROOT_KEY not in str(caught.value)


def test_an_empty_root_key_is_not_that_of_the_environment(kind, monkeypatch):
    monkeypatch.setenv("PORTCULLIS_ROOT_KEY", ROOT_KEY)
    monkeypatch.setenv("PORTCULLIS_SERVER", "")
    assert kind.Client()
    with pytest.raises(ValueError, match="no root key"):
        kind.Client(root_key="")


def test_the_environment_may_allow_plaintext(kind, monkeypatch):
    for value in ("true", "1", "yes", "on"):
        monkeypatch.setenv("PORTCULLIS_ALLOW_PLAINTEXT", value)
        assert kind.Client("http://10.0.0.1:1", root_key=ROOT_KEY)
        with pytest.raises(ValueError, match="PORTCULLIS_ALLOW_PLAINTEXT=true"):
            kind.Client("http://10.0.0.1:1", root_key=ROOT_KEY, allow_plaintext=False)
    for value in ("false", "0", "no", "off", ""):
        monkeypatch.setenv("PORTCULLIS_ALLOW_PLAINTEXT", value)
        with pytest.raises(ValueError, match="plain text"):
            kind.Client("http://10.0.0.1:1", root_key=ROOT_KEY)
        assert kind.Client("http://10.0.0.1:1", root_key=ROOT_KEY, allow_plaintext=True)
    monkeypatch.setenv("PORTCULLIS_ALLOW_PLAINTEXT", "please")
    with pytest.raises(ValueError, match="PORTCULLIS_ALLOW_PLAINTEXT must be true or false; is 'please'"):
        kind.Client(root_key=ROOT_KEY)


def test_plaintext_takes_a_true_true(kind):
    with pytest.raises(TypeError, match="allow_plaintext"):
        kind.Client("http://10.0.0.1:1", root_key=ROOT_KEY, allow_plaintext="false")


@pytest.mark.parametrize(
    ("address", "name"),
    [
        (None, "dns:///127.0.0.1:50051"),
        ("https://portcullis.example:1/", "dns:///portcullis.example:1"),
        ("http://[::1]:1", "dns:///[::1]:1"),
        (["http://127.0.0.1:1"], "dns:///127.0.0.1:1"),
        (["http://127.0.0.1:1", "http://127.0.0.2:2"], "ipv4:127.0.0.1:1,127.0.0.2:2"),
        (["http://[::1]:1", "http://[::2]:2"], "ipv6:[::1]:1,[::2]:2"),
        (["http://127.0.0.1:1", "http://[::2]:2"], "ipv6:[::ffff:127.0.0.1]:1,[::2]:2"),
    ],
)
def test_targets(address, name):
    assert target(address).name == name


def test_a_name_that_is_not_known_is_left_out_of_several():
    assert target(["http://127.0.0.1:1", "http://nobody.invalid:1"]).name == "ipv4:127.0.0.1:1"
    with pytest.raises(OSError, match="none"):
        target(["http://nobody.invalid:1", "http://nobody.invalid:2"])


@pytest.mark.parametrize("timeout", [0, -1, 86_400.1, float("nan"), float("inf")])
def test_what_is_no_timeout(kind, timeout):
    with pytest.raises(ValueError, match="timeout"):
        kind.Client(root_key=ROOT_KEY, timeout=timeout)


def test_every_call_has_the_root_key_and_a_deadline(kind, fake, connect):
    client = connect(fake.address, timeout=500)
    kind.run(lambda: client.verification.Verify(ASKED))
    kind.run(lambda: client.verification.Verify(ASKED, timeout=5000, metadata=(("x-mine", "1"),)))
    assert fake.callers == [f"Bearer {ROOT_KEY}"] * 2
    # gRPC rounds deadlines up.
    assert 0 < fake.seconds_left[0] < 1000 < fake.seconds_left[1] < 10_000


def test_the_default_timeout_is_one_second(fake):
    fake.is_silent = True
    with portcullis.Client(fake.address, root_key=ROOT_KEY) as client, pytest.raises(grpc.RpcError) as caught:
        client.verification.Verify(ASKED)
    assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
    assert all(left < 2 for left in fake.seconds_left)


def test_the_other_ways_of_a_blocking_call(fake):
    with portcullis.Client(fake.address, root_key=ROOT_KEY, timeout=500) as client:
        assert client.verification.Verify.with_call(ASKED)[0].valid
        assert client.verification.Verify.future(ASKED).result().valid
    assert fake.callers == [f"Bearer {ROOT_KEY}"] * 2
    assert all(0 < left < 1000 for left in fake.seconds_left)


def test_a_stream_lasts(fake):
    with portcullis.Client(fake.address, root_key=ROOT_KEY, timeout=1) as client:
        asked = [v1.VerifyStreamRequest(correlation_id=str(number)) for number in range(3)]
        answers = client.verification.VerifyStream(iter(asked))
        assert [answer.correlation_id for answer in answers] == ["0", "1", "2"]
    assert fake.callers == [f"Bearer {ROOT_KEY}"]
    assert fake.seconds_left[0] is None or fake.seconds_left[0] > 1000


def test_unavailable_is_tried_four_times(kind, fake, connect):
    fake.answers = [grpc.StatusCode.UNAVAILABLE]
    client = connect(fake.address)
    with pytest.raises(grpc.RpcError) as caught:
        kind.run(lambda: client.verification.Verify(ASKED))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert len(fake.requests) == 4


def test_the_first_answer_ends_the_tries(kind, fake, connect):
    fake.answers = [*[grpc.StatusCode.UNAVAILABLE] * 3, v1.VerifyResponse(valid=True)]
    client = connect(fake.address)
    assert kind.run(lambda: client.verification.Verify(ASKED)).valid
    assert len(fake.requests) == 4


@pytest.mark.parametrize(
    "status",
    [status for status in grpc.StatusCode if status not in (grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE)],
)
def test_nothing_else_is_tried_again(kind, fake, connect, status):
    fake.answers = [status]
    client = connect(fake.address)
    with pytest.raises(grpc.RpcError) as caught:
        kind.run(lambda: client.verification.Verify(ASKED))
    assert caught.value.code() is status
    assert len(fake.requests) == 1


def test_calls_are_spread_and_go_on_when_a_replica_ends(kind, serve, connect):
    replicas = [serve(), serve()]
    client = connect([replica.address for replica in replicas])
    for _ in range(100_000):
        kind.run(lambda: client.verification.Verify(ASKED))
        if all(replica.requests for replica in replicas):
            break
    else:
        pytest.fail("one replica was never asked")
    replicas[0].answers = [grpc.StatusCode.UNAVAILABLE]
    for _ in range(20):
        assert kind.run(lambda: client.verification.Verify(ASKED)).valid


def test_the_root_key_goes_past_proxies(kind, serve, connect, monkeypatch):
    replicas = [serve(), serve()]
    for variable in ("grpc_proxy", "http_proxy", "https_proxy"):
        # Nobody listens there.
        monkeypatch.setenv(variable, "http://127.0.0.1:1")
    for variable in ("no_proxy", "no_grpc_proxy"):
        monkeypatch.delenv(variable, raising=False)
    for address in (replicas[0].address, [replica.address for replica in replicas]):
        client = connect(address)
        assert kind.run(lambda client=client: client.verification.Verify(ASKED)).valid


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """A certificate of `localhost`, which is its own authority, and its key."""
    folder = tmp_path_factory.mktemp("certificate")
    asked = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -keyout key.pem -out certificate.pem"
    names = ["-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost"]
    subprocess.run(["openssl", *asked.split(), *names], cwd=folder, check=True, capture_output=True)
    return (folder / "certificate.pem").read_bytes(), (folder / "key.pem").read_bytes()


def test_tls_with_an_authority_of_ones_own(kind, serve, connect, certificate):
    pem, key = certificate
    replicas = [serve(grpc.ssl_server_credentials([(key, pem)])) for _ in range(2)]
    for address in (replicas[0].address, [replica.address for replica in replicas]):
        client = connect(address, ca_certificates=pem)
        assert kind.run(lambda client=client: client.verification.Verify(ASKED)).valid
        asked = [len(replica.health_calls) for replica in replicas]
        client._readiness.report_failure()
        end = time.monotonic() + PATIENCE
        while len(replicas[0].health_calls) == asked[0]:
            assert time.monotonic() < end, "health is asked over TLS too"
            time.sleep(0.01)


def test_tls_trusts_no_stranger_and_no_other_name(kind, serve, connect, certificate):
    pem, key = certificate
    replica = serve(grpc.ssl_server_credentials([(key, pem)]))
    stranger = connect(replica.address)
    other_name = connect(replica.address.replace("localhost", "127.0.0.1"), ca_certificates=pem)
    for client in (stranger, other_name):
        with pytest.raises(grpc.RpcError) as caught:
            kind.run(lambda client=client: client.verification.Verify(ASKED))
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert not replica.requests
    with pytest.raises(grpc.RpcError) as caught:
        kind.run(lambda: stranger.verification.Verify(ASKED))
    at = replica.address.removeprefix("https://")
    assert caught.value.details() == (
        f"the certificate of {at} is not signed by an authority that is trusted here: give its CA by ca_certificates"
    )
    with pytest.raises(ValueError, match="PEM"):
        connect(replica.address, ca_certificates=b"none")


def test_http_to_a_server_of_tls_is_told(kind, serve, connect, certificate):
    pem, key = certificate
    replica = serve(grpc.ssl_server_credentials([(key, pem)]))
    client = connect(replica.address.replace("https", "http"))
    at = replica.address.removeprefix("https://")
    calls = (
        lambda: client.verification.Verify(ASKED),
        lambda: client.keyspaces.ListKeyspaces(v1.ListKeyspacesRequest()),
    )
    for call in calls:
        with pytest.raises(grpc.RpcError) as caught:
            kind.run(call)
        assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
        assert caught.value.details() == f"the server at {at} speaks TLS: use https://{at}"
    assert ROOT_KEY not in "".join(traceback.format_exception(caught.value))


def test_https_to_a_server_of_plaintext_is_told(kind, server, connect):
    at = server.removeprefix("http://")
    client = connect(f"https://{at}")
    with pytest.raises(grpc.RpcError) as caught:
        kind.run(lambda: client.verification.Verify(ASKED))
    assert caught.value.code() is grpc.StatusCode.UNAVAILABLE
    assert caught.value.details().startswith(f"the server at {at} does not speak TLS: use http://{at}, and allow_pl")


def test_all_services_of_a_real_server(kind, server, connect):
    client = connect(server)
    calls = (
        lambda: client.api_keys.ListApiKeys(v1.ListApiKeysRequest()),
        lambda: client.audit.ListAuditEvents(v1.ListAuditEventsRequest()),
        lambda: client.keyspaces.ListKeyspaces(v1.ListKeyspacesRequest()),
        lambda: client.replicas.ListReplicas(v1.ListReplicasRequest()),
        lambda: client.usage.QueryUsage(v1.QueryUsageRequest()),
        lambda: client.verification.Verify(ASKED),
    )
    for call in calls:
        kind.run(call)


def test_no_text_of_a_client_has_the_root_key(kind, connect):
    client = connect()
    assert ROOT_KEY not in repr(client) + str(client)


def test_an_asyncio_client_may_be_made_before_the_loop(fake):
    import asyncio

    client = aio.Client(fake.address, root_key=ROOT_KEY, timeout=PATIENCE)

    async def main():
        async with client:
            assert (await client.verification.Verify(ASKED)).valid

    asyncio.run(main())


def test_the_version_is_that_of_the_package():
    from importlib.metadata import version

    assert version("portcullis-client") == portcullis.__version__
    assert re.fullmatch(r"\d+\.\d+\.\d+", portcullis.__version__)
