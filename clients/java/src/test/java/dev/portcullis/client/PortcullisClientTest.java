package dev.portcullis.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.portcullis.testing.FakePortcullis;
import dev.portcullis.v1.VerifyRequest;
import dev.portcullis.v1.VerifyResponse;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.ProxySelector;
import java.net.ServerSocket;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.EnumSource;

class PortcullisClientTest {
    private static final VerifyRequest REQUEST =
            VerifyRequest.newBuilder().setKey("a_key").build();
    private static final VerifyResponse ANSWER = VerifyResponse.getDefaultInstance();

    private static PortcullisClient.Builder builder(Map<String, String> environment) {
        return new PortcullisClient.Builder(environment);
    }

    private static String fault(PortcullisClient.Builder builder) {
        return assertThrows(IllegalArgumentException.class, builder::build).getMessage();
    }

    @Test
    void needsARootKey() {
        assertEquals("No root key: set rootKey or PORTCULLIS_ROOT_KEY", fault(builder(Map.of())));
    }

    @Test
    void doesNotRepeatABadRootKey() {
        assertFalse(fault(builder(Map.of()).rootKey("root_se cret")).contains("cret"));
    }

    @Test
    void takesServerAndRootKeyFromTheEnvironment() {
        try (FakePortcullis server = new FakePortcullis(request -> ANSWER);
                PortcullisClient client = builder(
                                Map.of("PORTCULLIS_SERVER", server.address(), "PORTCULLIS_ROOT_KEY", "root_env"))
                        .timeout(Duration.ofMinutes(1))
                        .build()) {
            client.verification().verify(REQUEST);

            assertEquals(List.of("Bearer root_env"), server.callers);
        }
    }

    @Test
    void takesAnEmptyVariableForNone() {
        builder(Map.of("PORTCULLIS_SERVER", "", "PORTCULLIS_ROOT_KEY", "root_env"))
                .build()
                .close();
        fault(builder(Map.of("PORTCULLIS_ROOT_KEY", "")));
        fault(builder(Map.of("PORTCULLIS_ROOT_KEY", "root_env")).rootKey(" \n"));
    }

    @Test
    void dropsBlanksAndLineEndsAroundARootKey() {
        try (FakePortcullis server = new FakePortcullis(request -> ANSWER)) {
            for (PortcullisClient.Builder builder : List.of(
                    builder(Map.of("PORTCULLIS_ROOT_KEY", " root_key\r\n")),
                    builder(Map.of()).rootKey("\troot_key\n"))) {
                try (PortcullisClient client = builder.addresses(server.address())
                        .timeout(Duration.ofMinutes(1))
                        .build()) {
                    client.verification().verify(REQUEST);
                }
            }
            assertEquals(List.of("Bearer root_key", "Bearer root_key"), server.callers);
        }
    }

    @Test
    void doesNotRepeatAWrongAddress() {
        assertEquals(
                "Address 2 is neither http://HOST:PORT nor https://HOST:PORT",
                fault(builder(Map.of()).rootKey("root_key").addresses("http://a:1", "http://user:secret@b:1")));
    }

    @Test
    void takesAnAddressOfIpv6() {
        try (FakePortcullis server = new FakePortcullis(request -> ANSWER);
                PortcullisClient client = builder(Map.of("PORTCULLIS_ROOT_KEY", "root_key"))
                        .addresses(server.address().replace("127.0.0.1", "[::ffff:127.0.0.1]"))
                        .allowPlaintext()
                        .timeout(Duration.ofMinutes(1))
                        .build()) {
            assertEquals(ANSWER, client.verification().verify(REQUEST));
        }
        assertEquals("dns:///%5Bfe80::1%25eth0%5D:1", Address.target("[fe80::1%eth0]:1"));
        builder(Map.of("PORTCULLIS_ROOT_KEY", "root_key"))
                .addresses("http://[::1]:1")
                .build()
                .close();
    }

    @Test
    void saysWhatToWriteInsteadOfATargetOfGrpc() {
        String fault = fault(builder(Map.of()).rootKey("root_key").addresses("dns:///localhost:1"));

        assertTrue(fault.contains("write http://HOST:PORT or https://HOST:PORT"), fault);
    }

    @Test
    void takesTheLeaveForPlaintextFromTheEnvironment() {
        for (String value : List.of("true", "1", "yes", "on")) {
            plainlyElsewhere(value).build().close();
        }
        for (String value : List.of("false", "0", "no", "off", "")) {
            assertTrue(fault(plainlyElsewhere(value)).contains("PORTCULLIS_ALLOW_PLAINTEXT=true"));
            plainlyElsewhere(value).allowPlaintext().build().close();
        }
        assertEquals(
                "PORTCULLIS_ALLOW_PLAINTEXT must be true or false; is \"please\"",
                fault(plainlyElsewhere("please").addresses("https://example.com:1")));
    }

    private static PortcullisClient.Builder plainlyElsewhere(String variable) {
        return builder(Map.of(
                "PORTCULLIS_SERVER", "http://192.0.2.1:1",
                "PORTCULLIS_ROOT_KEY", "root_key",
                "PORTCULLIS_ALLOW_PLAINTEXT", variable));
    }

    @Test
    void asksNoProxyForPlaintext() throws Exception {
        ProxySelector before = ProxySelector.getDefault();
        try (ServerSocket proxy = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
                FakePortcullis server = new FakePortcullis(request -> ANSWER)) {
            ProxySelector.setDefault(ProxySelector.of((InetSocketAddress) proxy.getLocalSocketAddress()));
            try (PortcullisClient client = server.client()) {
                client.verification().verify(REQUEST);
            }
        } finally {
            ProxySelector.setDefault(before);
        }
    }

    @Test
    void sendsNoRootKeyInTheClearToAnotherMachine() {
        PortcullisClient.Builder builder = builder(Map.of()).rootKey("root_key");

        assertTrue(fault(builder.addresses("http://192.0.2.1:50051")).contains("in the clear"));
        assertTrue(fault(builder.addresses("http://127.0.0.1:1", "http://example.com:1"))
                .contains("in the clear"));
        builder.addresses("https://example.com:1").build().close();
        builder.addresses("http://127.0.0.1:1", "http://[::1]:1").build().close();
        builder.addresses("http://example.com:1").allowPlaintext().build().close();
    }

    @Test
    void refusesWhatCannotBeMeant() {
        PortcullisClient.Builder builder = builder(Map.of()).rootKey("root_key");

        assertTrue(fault(builder.addresses()).contains("at least one"));
        assertTrue(fault(builder.addresses("http://127.0.0.1:1", "https://127.0.0.1:1"))
                .contains("all are https://"));
        assertTrue(fault(builder.addresses("http://127.0.0.1:1").caCertificates(Path.of("ca.pem")))
                .contains("for https://"));
        for (Duration timeout : List.of(Duration.ZERO, Duration.ofSeconds(-1), Duration.ofDays(200_000))) {
            assertTrue(fault(builder.timeout(timeout)).contains("timeout"));
        }
    }

    @Test
    void spreadsCallsOverReplicas() {
        try (FakePortcullis one = new FakePortcullis(request -> ANSWER);
                FakePortcullis other = new FakePortcullis(request -> ANSWER);
                PortcullisClient client = builder(Map.of())
                        .addresses(one.address(), other.address())
                        .rootKey("root_key")
                        .timeout(Duration.ofMinutes(1))
                        .build()) {
            // The first calls go to whichever is connected first.
            while (one.requests.isEmpty() || other.requests.isEmpty()) {
                client.verification().verify(REQUEST);
            }
            int before = one.requests.size();
            for (int call = 0; call < 10; call++) {
                client.verification().verify(REQUEST);
            }
            assertEquals(5, one.requests.size() - before);
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = Status.Code.class,
            names = {"UNAVAILABLE", "UNKNOWN"})
    void triesWhatAReplicaThatEndsMayLeaveFourTimes(Status.Code code) {
        try (FakePortcullis server = new FakePortcullis(request -> {
                    throw code.toStatus().asRuntimeException();
                });
                PortcullisClient client = server.client()) {
            assertThrows(
                    StatusRuntimeException.class, () -> client.verification().verify(REQUEST));

            assertEquals(4, server.requests.size());
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = Status.Code.class,
            mode = EnumSource.Mode.EXCLUDE,
            names = {"OK", "UNAVAILABLE", "UNKNOWN"})
    void triesNothingElseAgain(Status.Code code) {
        try (FakePortcullis server = new FakePortcullis(request -> {
                    throw code.toStatus().asRuntimeException();
                });
                PortcullisClient client = server.client()) {
            StatusRuntimeException error = assertThrows(
                    StatusRuntimeException.class, () -> client.verification().verify(REQUEST));

            assertEquals(code, error.getStatus().getCode());
            assertEquals(1, server.requests.size());
        }
    }

    @Test
    void givesCallsADeadlineUnlessTheyHaveOne() {
        try (FakePortcullis server = new FakePortcullis(request -> ANSWER);
                PortcullisClient client = server.client()) {
            client.verification().verify(REQUEST);
            client.verification().withDeadlineAfter(1, TimeUnit.HOURS).verify(REQUEST);

            assertTrue(server.secondsLeft.get(0) <= 60);
            assertTrue(server.secondsLeft.get(1) > 60);
        }
    }

    @Test
    void givesUpAtTheDeadline() {
        try (FakePortcullis server = new FakePortcullis(request -> null);
                PortcullisClient client = builder(Map.of())
                        .addresses(server.address())
                        .rootKey("root_key")
                        .timeout(Duration.ofMillis(200))
                        .build()) {
            StatusRuntimeException error = assertThrows(
                    StatusRuntimeException.class, () -> client.verification().verify(REQUEST));

            assertEquals(Status.Code.DEADLINE_EXCEEDED, error.getStatus().getCode());
        }
    }
}
