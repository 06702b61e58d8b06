package dev.portcullis.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertSame;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import com.google.protobuf.ListValue;
import com.google.protobuf.Struct;
import com.google.protobuf.Value;
import dev.portcullis.client.PortcullisClient;
import dev.portcullis.testing.FakePortcullis;
import dev.portcullis.v1.Verdict;
import dev.portcullis.v1.VerifyRequest;
import dev.portcullis.v1.VerifyResponse;
import io.grpc.Context;
import io.grpc.Status;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.List;
import java.util.Map;
import java.util.concurrent.CancellationException;
import java.util.function.Consumer;
import java.util.function.Function;
import java.util.logging.Handler;
import java.util.logging.LogRecord;
import java.util.logging.Logger;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.EnumSource;
import org.junit.jupiter.params.provider.NullSource;
import org.junit.jupiter.params.provider.ValueSource;

class GuardTest {
    private static final String KEY = "ak_the_key_itself";
    private static final VerifyResponse VALID = VerifyResponse.newBuilder()
            .setValid(true)
            .setVerdict(Verdict.VERDICT_VALID)
            .setSubject("user_1")
            .build();

    /** What a guard says, waiting or not: both must say the same. */
    private static Decision check(Guard guard, String clientIp) {
        Decision waiting = guard.check(List.of("Bearer " + KEY), List.of(), clientIp);
        Decision later =
                guard.checkAsync(List.of("Bearer " + KEY), List.of(), clientIp).join();
        assertEquals(waiting, later);
        return waiting;
    }

    private static Decision checkOf(Function<VerifyRequest, VerifyResponse> answers, Function<Guard, Guard> settings) {
        try (FakePortcullis server = new FakePortcullis(answers);
                PortcullisClient client = server.client()) {
            return check(settings.apply(Guard.of(client, "default")), "");
        }
    }

    private static Function<VerifyRequest, VerifyResponse> failing(Status.Code code) {
        return request -> {
            throw code.toStatus().withDescription("told so").asRuntimeException();
        };
    }

    private static List<LogRecord> logged(Runnable action) {
        List<LogRecord> records = new ArrayList<>();
        Handler handler = new Handler() {
            @Override
            public void publish(LogRecord record) {
                records.add(record);
            }

            @Override
            public void flush() {}

            @Override
            public void close() {}
        };
        Logger logger = Logger.getLogger(Guard.class.getName());
        logger.addHandler(handler);
        try {
            action.run();
        } finally {
            logger.removeHandler(handler);
        }
        return records;
    }

    @Test
    void asksOnceForAllThatIsDemanded() {
        try (FakePortcullis server = new FakePortcullis(request -> VALID);
                PortcullisClient client = server.client()) {
            Guard guard = Guard.of(client, "default")
                    .scopes("a", "b")
                    .anyOfScopes("c", "d")
                    .keyspace("prod")
                    .cost(0);

            guard.check(List.of(), List.of(KEY), "192.0.2.7");

            VerifyRequest wanted = VerifyRequest.newBuilder()
                    .setKey(KEY)
                    .addAllRequiredScopes(List.of("a", "b"))
                    .addAllAnyOfScopes(List.of("c", "d"))
                    .setKeyspace("prod")
                    .setClientIp("192.0.2.7")
                    .setCost(0)
                    .build();
            assertEquals(List.of(wanted), server.requests);
        }
    }

    @Test
    void leavesTheCostOutByDefault() {
        try (FakePortcullis server = new FakePortcullis(request -> VALID);
                PortcullisClient client = server.client()) {
            check(Guard.of(client, "default"), "");

            assertFalse(server.requests.get(0).hasCost());
            assertThrows(IllegalArgumentException.class, () -> Guard.of(client, "default")
                    .cost(-1));
            assertThrows(IllegalArgumentException.class, () -> Guard.of(client, "default")
                    .cost(1_000_000_001));
        }
    }

    @Test
    void asksNothingWithoutAKey() {
        try (FakePortcullis server = new FakePortcullis(request -> VALID);
                PortcullisClient client = server.client()) {
            Guard guard = Guard.of(client, "default").dangerouslyAllowWhenUnavailable();

            assertEquals(Refusal.of(Refusal.Reason.MISSING_KEY), guard.check(List.of(), List.of(), ""));
            assertEquals(
                    Refusal.of(Refusal.Reason.INVALID_KEY),
                    guard.checkAsync(List.of(), List.of("a b"), "").join());
            assertEquals(List.of(), server.requests);
        }
    }

    @ParameterizedTest
    @CsvSource({"[::1], ::1", "fe80::1%eth0, fe80::1", "[fe80::1%2], fe80::1", "192.0.2.1, 192.0.2.1"})
    void writesAddressesPlainly(String told, String sent) {
        try (FakePortcullis server = new FakePortcullis(request -> VALID);
                PortcullisClient client = server.client()) {
            check(Guard.of(client, "default"), told);

            assertEquals(sent, server.requests.get(0).getClientIp());
        }
    }

    @ParameterizedTest
    @NullSource
    @ValueSource(
            strings = {"unknown", "localhost", "192.0.2.1:443", "[::1]:443", "192.0.2", "_hidden", "1", "\uff11.2.3.4"})
    void sendsNothingThatIsNoAddress(String told) {
        try (FakePortcullis server = new FakePortcullis(request -> VALID);
                PortcullisClient client = server.client()) {
            assertEquals("user_1", ((Identity) check(Guard.of(client, "default"), told)).subject());

            assertEquals("", server.requests.get(0).getClientIp());
        }
    }

    @Test
    void refusesRealmsThatNoHeaderCanHold() {
        try (PortcullisClient client =
                PortcullisClient.builder().rootKey("root").build()) {
            for (String realm : List.of("", "a\nb", "\u00fc")) {
                assertThrows(IllegalArgumentException.class, () -> Guard.of(client, "default")
                        .realm(realm));
            }
        }
    }

    @ParameterizedTest
    @CsvSource({
        "VERDICT_UNSPECIFIED, DENIED",
        "VERDICT_VALID, DENIED",
        "VERDICT_MALFORMED, INVALID_KEY",
        "VERDICT_NOT_FOUND, INVALID_KEY",
        "VERDICT_REVOKED, REVOKED_KEY",
        "VERDICT_EXPIRED, EXPIRED_KEY",
        "VERDICT_DISABLED, DISABLED_KEY",
        "VERDICT_IP_NOT_ALLOWED, IP_NOT_ALLOWED",
        "VERDICT_INSUFFICIENT_SCOPE, INSUFFICIENT_SCOPE",
        "VERDICT_RATE_LIMITED, RATE_LIMITED",
        "VERDICT_CREDITS_EXHAUSTED, CREDITS_EXHAUSTED"
    })
    void refusesByVerdict(Verdict verdict, Refusal.Reason reason) {
        Decision decision = checkOf(
                request -> VerifyResponse.newBuilder().setVerdict(verdict).build(),
                Guard::dangerouslyAllowWhenUnavailable);

        assertEquals(reason, ((Refusal) decision).reason());
    }

    @Test
    void refusesVerdictsOfLaterVersions() {
        Decision decision = checkOf(
                request -> VerifyResponse.newBuilder().setVerdictValue(99).build(),
                Guard::dangerouslyAllowWhenUnavailable);

        assertEquals(Refusal.of(Refusal.Reason.DENIED), decision);
    }

    @ParameterizedTest
    @EnumSource(
            value = Status.Code.class,
            mode = EnumSource.Mode.EXCLUDE,
            names = {"OK"})
    void staysClosedWhenTheCallFails(Status.Code code) {
        List<LogRecord> log = logged(() -> assertEquals(
                Refusal.until(Refusal.Reason.UNAVAILABLE, 1), checkOf(failing(code), Function.identity())));

        assertEquals(java.util.logging.Level.SEVERE, log.get(0).getLevel());
        assertEquals(code + ": told so", log.get(0).getParameters()[0]);
    }

    @ParameterizedTest
    @EnumSource(
            value = Status.Code.class,
            mode = EnumSource.Mode.EXCLUDE,
            names = {"OK"})
    void opensByDemandInAnOutageOnly(Status.Code code) {
        // A deadline is one only while Portcullis is not ready.
        boolean outage = code == Status.Code.UNAVAILABLE;
        List<Decision> decision = new ArrayList<>();

        List<LogRecord> log =
                logged(() -> decision.add(checkOf(failing(code), Guard::dangerouslyAllowWhenUnavailable)));

        assertEquals(outage ? Identity.UNVERIFIED : Refusal.until(Refusal.Reason.UNAVAILABLE, 1), decision.get(0));
        assertEquals(
                outage ? java.util.logging.Level.WARNING : java.util.logging.Level.SEVERE,
                log.get(0).getLevel());
    }

    @Test
    void isNotOpenedByADeadlineOfTheCaller() {
        try (FakePortcullis server = new FakePortcullis(request -> VALID);
                PortcullisClient client = server.client();
                Context.CancellableContext gone = Context.current().withCancellation()) {
            gone.cancel(new CancellationException());
            gone.run(() -> assertEquals("user_1", ((Identity) check(Guard.of(client, "default"), "")).subject()));
        }
    }

    @Test
    void showsTheSecretsToNobody() {
        for (Status.Code code : List.of(Status.Code.UNAVAILABLE, Status.Code.PERMISSION_DENIED)) {
            Consumer<Object> isClean = text -> {
                assertFalse(String.valueOf(text).contains(KEY), "the key");
                assertFalse(String.valueOf(text).contains(FakePortcullis.ROOT_KEY), "the root key");
            };
            List<LogRecord> log =
                    logged(() -> isClean.accept(checkOf(failing(code), Guard::dangerouslyAllowWhenUnavailable)));

            assertTrue(log.size() >= 2);
            for (LogRecord record : log) {
                isClean.accept(record.getMessage() + Arrays.toString(record.getParameters()) + record.getThrown());
            }
        }
        try (PortcullisClient client =
                PortcullisClient.builder().rootKey(FakePortcullis.ROOT_KEY).build()) {
            assertFalse((client.toString() + Guard.of(client, "default")).contains(FakePortcullis.ROOT_KEY));
        }
    }

    @Test
    void tellsClaimsAsJavaDoes() {
        Value list = Value.newBuilder()
                .setListValue(ListValue.newBuilder()
                        .addValues(Value.newBuilder().setNullValueValue(0))
                        .addValues(Value.newBuilder().setStructValue(Struct.getDefaultInstance())))
                .build();
        Struct claims = Struct.newBuilder()
                .putFields("plan", Value.newBuilder().setStringValue("pro").build())
                .putFields("seats", Value.newBuilder().setNumberValue(3).build())
                .putFields("beta", Value.newBuilder().setBoolValue(true).build())
                .putFields("list", list)
                .build();

        Identity identity = Identity.of(VALID.toBuilder().setClaims(claims).build());

        assertEquals(
                Map.of("plan", "pro", "seats", 3.0, "beta", true, "list", Arrays.asList(null, Map.of())),
                identity.claims());
    }

    @Test
    void tellsUsersFromOrganisations() {
        assertEquals("user_1", Identity.of(VALID).userId());
        assertSame(null, Identity.of(VALID).orgId());
        assertEquals(
                "org_7",
                Identity.of(VALID.toBuilder().setSubject("org_7").build()).orgId());
        assertSame(null, Identity.UNVERIFIED.userId());
    }
}
