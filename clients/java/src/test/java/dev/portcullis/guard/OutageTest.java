package dev.portcullis.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import dev.portcullis.client.PortcullisClient;
import dev.portcullis.testing.FakePortcullis;
import dev.portcullis.testing.FakePortcullis.Readiness;
import dev.portcullis.v1.VerifyRequest;
import dev.portcullis.v1.VerifyResponse;
import io.grpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;
import java.util.Set;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;
import java.util.stream.Stream;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;

/** When a guard that opens in an outage does so. */
@Timeout(value = 2, unit = TimeUnit.MINUTES)
class OutageTest {
    private static final String PORTCULLIS = "portcullis.v1";

    private static Function<VerifyRequest, VerifyResponse> failing(Status.Code code, String domain) {
        ErrorInfo info = ErrorInfo.newBuilder().setReason("R").setDomain(domain).build();
        com.google.rpc.Status status = com.google.rpc.Status.newBuilder()
                .setCode(code.value())
                .addDetails(Any.pack(info))
                .build();
        return request -> {
            throw StatusProto.toStatusRuntimeException(status);
        };
    }

    private static PortcullisClient client(Duration timeout, FakePortcullis... servers) {
        return PortcullisClient.builder()
                .addresses(Arrays.stream(servers).map(FakePortcullis::address).toArray(String[]::new))
                .rootKey(FakePortcullis.ROOT_KEY)
                .timeout(timeout)
                .build();
    }

    private static boolean opens(PortcullisClient client) {
        Guard guard = Guard.of(client, "default").dangerouslyAllowWhenUnavailable();
        Decision decision = guard.check(List.of("Bearer ak_1"), List.of(), "");
        if (decision instanceof Refusal refusal) {
            assertEquals(Refusal.Reason.UNAVAILABLE, refusal.reason());
            return false;
        }
        assertEquals(Identity.UNVERIFIED, decision);
        return true;
    }

    private static void awaitOpen(PortcullisClient client) throws InterruptedException {
        while (!opens(client)) {
            Thread.sleep(10);
        }
    }

    /** Asks until each server was asked about its health twice. */
    private static boolean staysClosed(PortcullisClient client, FakePortcullis... asked) throws InterruptedException {
        while (Stream.of(asked).anyMatch(server -> server.healthCallers.size() < 2)) {
            if (opens(client)) {
                return false;
            }
            Thread.sleep(10);
        }
        return !opens(client);
    }

    @Test
    void opensAtOnceIfSomethingBetweenIsUnavailable() {
        try (FakePortcullis server = new FakePortcullis(failing(Status.Code.UNAVAILABLE, "proxy.example"))
                        .readiness(Readiness.SERVING);
                PortcullisClient client = server.client()) {
            assertTrue(opens(client));
            assertTrue(server.healthCallers.isEmpty());
        }
    }

    @ParameterizedTest
    @CsvSource({
        "UNAVAILABLE, NOT_SERVING",
        "UNAVAILABLE, SILENT",
        "DEADLINE_EXCEEDED, NOT_SERVING",
        "DEADLINE_EXCEEDED, SILENT"
    })
    void opensIfPortcullisFailsWhileNoReplicaIsReady(Status.Code code, Readiness readiness) throws Exception {
        try (FakePortcullis server = new FakePortcullis(failing(code, PORTCULLIS)).readiness(readiness);
                PortcullisClient client = server.client()) {
            assertFalse(opens(client), "before health has answered");
            awaitOpen(client);
            // No credential is sent.
            assertEquals(Set.of("null"), Set.copyOf(server.healthCallers));
        }
    }

    @ParameterizedTest
    @EnumSource(
            value = Status.Code.class,
            names = {"UNAVAILABLE", "DEADLINE_EXCEEDED"})
    void staysClosedWhileAReplicaIsThere(Status.Code code) throws Exception {
        try (FakePortcullis unready = new FakePortcullis(failing(code, PORTCULLIS)).readiness(Readiness.NOT_SERVING);
                FakePortcullis ready = new FakePortcullis(failing(code, PORTCULLIS)).readiness(Readiness.SERVING);
                PortcullisClient client = client(Duration.ofMinutes(1), unready, ready)) {
            assertTrue(staysClosed(client, unready, ready));
        }
        try (FakePortcullis server = new FakePortcullis(failing(code, PORTCULLIS));
                PortcullisClient client = server.client()) {
            assertTrue(staysClosed(client, server), "without a health service");
        }
    }

    @Test
    void followsReadinessWhenNothingIsAnsweredInTime() throws Exception {
        try (FakePortcullis server = new FakePortcullis(request -> null).readiness(Readiness.SERVING);
                PortcullisClient client = client(Duration.ofMillis(100), server)) {
            assertTrue(staysClosed(client, server));
            server.readiness(Readiness.NOT_SERVING);
            awaitOpen(client);
            server.readiness(Readiness.SERVING);
            while (opens(client)) {
                Thread.sleep(10);
            }
        }
    }

    @Test
    void asksForNoHealthAfterOtherErrorsOrIfItNeverOpens() {
        for (Status.Code code : List.of(Status.Code.RESOURCE_EXHAUSTED, Status.Code.INTERNAL)) {
            try (FakePortcullis server =
                            new FakePortcullis(failing(code, PORTCULLIS)).readiness(Readiness.NOT_SERVING);
                    PortcullisClient client = server.client()) {
                assertFalse(opens(client) || opens(client));
                assertTrue(server.healthCallers.isEmpty());
            }
        }
        try (FakePortcullis server = new FakePortcullis(failing(Status.Code.DEADLINE_EXCEEDED, PORTCULLIS));
                PortcullisClient client = server.client()) {
            Guard.of(client, "default").check(List.of("Bearer ak_1"), List.of(), "");
            assertTrue(server.healthCallers.isEmpty());
        }
    }
}
