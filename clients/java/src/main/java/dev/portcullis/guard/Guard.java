package dev.portcullis.guard;

import com.google.common.net.InetAddresses;
import com.google.common.util.concurrent.FutureCallback;
import com.google.common.util.concurrent.Futures;
import com.google.rpc.ErrorInfo;
import dev.portcullis.client.PortcullisClient;
import dev.portcullis.v1.VerificationServiceGrpc;
import dev.portcullis.v1.VerificationServiceGrpc.VerificationServiceBlockingStub;
import dev.portcullis.v1.VerificationServiceGrpc.VerificationServiceFutureStub;
import dev.portcullis.v1.VerifyRequest;
import dev.portcullis.v1.VerifyResponse;
import io.grpc.Context;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.time.Instant;
import java.util.List;
import java.util.concurrent.CompletableFuture;
import java.util.regex.Pattern;

/**
 * What a route asks of a key, whatever the framework. Immutable: each method that sets something returns another guard,
 * so that one can be the base of many. Each check makes at most one call, none without a key.
 */
public final class Guard {
    private static final System.Logger LOG = System.getLogger(Guard.class.getName());

    // Some servers write IPv6 in brackets, and Java adds the zone: fe80::1%eth0.
    private static final Pattern BRACKETS_AND_ZONE = Pattern.compile("^\\[|]$|%.*");

    // InetAddresses knows the rest of an address, but takes the digits of every script.
    private static final Pattern ADDRESS = Pattern.compile("[0-9A-Fa-f:.]+");

    /** As the keyspace of a guard: keys of every keyspace pass that the root key of the client may verify in. */
    public static final String ANY_KEYSPACE = "*";

    // Of the ErrorInfo in every error that Portcullis makes.
    private static final String DOMAIN = "portcullis.v1";

    private final PortcullisClient client;
    private final VerificationServiceBlockingStub blocking;
    private final VerificationServiceFutureStub future;
    private final VerifyRequest demand;
    private final String realm;
    private final boolean openWhenUnavailable;

    private Guard(
            PortcullisClient client,
            VerificationServiceBlockingStub blocking,
            VerificationServiceFutureStub future,
            VerifyRequest demand,
            String realm,
            boolean openWhenUnavailable) {
        this.client = client;
        this.blocking = blocking;
        this.future = future;
        this.demand = demand;
        this.realm = realm;
        this.openWhenUnavailable = openWhenUnavailable;
    }

    /**
     * A guard that lets every valid key of a keyspace through, such as {@code default}; or of {@link #ANY_KEYSPACE}.
     *
     * @throws IllegalArgumentException if the keyspace is null or empty, or not the id of a keyspace
     */
    public static Guard of(PortcullisClient client, String keyspace) {
        return new Guard(
                client,
                VerificationServiceGrpc.newBlockingStub(client.channel()),
                VerificationServiceGrpc.newFutureStub(client.channel()),
                VerifyRequest.newBuilder()
                        .setKeyspace(Demand.keyspace(keyspace))
                        .build(),
                "api",
                false);
    }

    /**
     * Asks for all of these scopes, up to 100. Default: none.
     *
     * @throws IllegalArgumentException if there are more, or one is not a scope
     */
    public Guard scopes(String... scopes) {
        return demanding(demand.toBuilder().clearRequiredScopes().addAllRequiredScopes(List.of(scopes)));
    }

    /**
     * Asks for one of these scopes, up to 100. Default: no such demand.
     *
     * @throws IllegalArgumentException if there are more, or one is not a scope
     */
    public Guard anyOfScopes(String... scopes) {
        return demanding(demand.toBuilder().clearAnyOfScopes().addAllAnyOfScopes(List.of(scopes)));
    }

    /**
     * Asks for a key of this keyspace instead, or of {@link #ANY_KEYSPACE}.
     *
     * @throws IllegalArgumentException if it is null or empty, or not the id of a keyspace
     */
    public Guard keyspace(String keyspace) {
        return demanding(demand.toBuilder().setKeyspace(Demand.keyspace(keyspace)));
    }

    /**
     * Takes so many credits for a request. Default: 1.
     *
     * @throws IllegalArgumentException unless it is 0 to 1,000,000,000
     */
    public Guard cost(long credits) {
        return demanding(demand.toBuilder().setCost(credits));
    }

    /**
     * Names this realm in challenges over HTTP. Default: {@code api}.
     *
     * @throws IllegalArgumentException if it is empty, or has more than printable ASCII
     */
    public Guard realm(String realm) {
        if (!realm.matches("[ -~]+")) {
            throw new IllegalArgumentException("A realm is printable ASCII, and not empty");
        }
        return new Guard(client, blocking, future, demand, realm, openWhenUnavailable);
    }

    /**
     * Lets requests with a key through, unverified, in an outage: while Portcullis cannot be reached, and where it does not
     * answer before the deadline, or answers UNAVAILABLE, while no replica of it is ready. Their identity is not
     * authenticated, and each is logged as a warning. Any key will do then: revoked, expired and invented ones too.
     */
    public Guard dangerouslyAllowWhenUnavailable() {
        return new Guard(client, blocking, future, demand, realm, true);
    }

    String realm() {
        return realm;
    }

    /**
     * Checks a request, and waits for the answer, for as long as the timeout of the client at most.
     *
     * @param authorization every line of the header Authorization
     * @param apiKey every line of the header X-API-Key
     * @param clientIp the address of who sent it, IPv4 or IPv6 without a port; anything else, null too, if unknown
     */
    public Decision check(Iterable<String> authorization, Iterable<String> apiKey, String clientIp) {
        Credential credential = Credential.read(authorization, apiKey);
        if (credential.fault != null) {
            return Refusal.of(credential.fault);
        }
        VerifyRequest request = request(credential.key, clientIp);
        Context apart = apart();
        Context before = apart.attach();
        try {
            return judge(blocking.verify(request));
        } catch (StatusRuntimeException error) {
            return judge(error);
        } finally {
            apart.detach(before);
        }
    }

    /** As {@link #check}, without waiting. The stage never fails, and goes on in a thread of the client's. */
    public CompletableFuture<Decision> checkAsync(
            Iterable<String> authorization, Iterable<String> apiKey, String clientIp) {
        Credential credential = Credential.read(authorization, apiKey);
        if (credential.fault != null) {
            return CompletableFuture.completedFuture(Refusal.of(credential.fault));
        }
        VerifyRequest request = request(credential.key, clientIp);
        CompletableFuture<Decision> decision = new CompletableFuture<>();
        apart().run(() -> Futures.addCallback(
                future.verify(request),
                new FutureCallback<>() {
                    @Override
                    public void onSuccess(VerifyResponse answer) {
                        decision.complete(judge(answer));
                    }

                    @Override
                    public void onFailure(Throwable error) {
                        decision.complete(judge(error));
                    }
                },
                Runnable::run));
        return decision;
    }

    // In a gRPC server, the caller's deadline or going away would end the verification, and so open where that opens.
    private static Context apart() {
        return Context.current().fork();
    }

    private Guard demanding(VerifyRequest.Builder demand) {
        return new Guard(client, blocking, future, Demand.checked(demand.build()), realm, openWhenUnavailable);
    }

    private VerifyRequest request(String key, String clientIp) {
        VerifyRequest.Builder request = demand.toBuilder().setKey(key);
        String address =
                clientIp == null ? "" : BRACKETS_AND_ZONE.matcher(clientIp).replaceAll("");
        if (ADDRESS.matcher(address).matches() && InetAddresses.isInetAddress(address)) {
            request.setClientIp(address);
        }
        return request.build();
    }

    private Decision judge(VerifyResponse answer) {
        if (answer.getValid()) {
            return Identity.of(answer);
        }
        return switch (answer.getVerdict()) {
            case VERDICT_MALFORMED, VERDICT_NOT_FOUND -> Refusal.of(Refusal.Reason.INVALID_KEY);
            case VERDICT_REVOKED -> Refusal.of(Refusal.Reason.REVOKED_KEY);
            case VERDICT_EXPIRED -> Refusal.of(Refusal.Reason.EXPIRED_KEY);
            case VERDICT_DISABLED -> Refusal.of(Refusal.Reason.DISABLED_KEY);
            case VERDICT_IP_NOT_ALLOWED -> Refusal.of(Refusal.Reason.IP_NOT_ALLOWED);
            case VERDICT_INSUFFICIENT_SCOPE ->
                new Refusal(Refusal.Reason.INSUFFICIENT_SCOPE, List.copyOf(answer.getMissingScopesList()), 0);
            case VERDICT_RATE_LIMITED ->
                Refusal.until(
                        Refusal.Reason.RATE_LIMITED,
                        RetryDelay.until(answer.getRateLimit().getRetryTime(), Instant.now()));
            case VERDICT_CREDITS_EXHAUSTED -> Refusal.of(Refusal.Reason.CREDITS_EXHAUSTED);
            default -> Refusal.of(Refusal.Reason.DENIED);
        };
    }

    private Decision judge(Throwable error) {
        Status status = Status.fromThrowable(error);
        String told = status.getCode() + (status.getDescription() == null ? "" : ": " + status.getDescription());
        if (openWhenUnavailable && isOutage(status.getCode(), error)) {
            LOG.log(System.Logger.Level.WARNING, "A request was let through unverified: {0}", told);
            return Identity.UNVERIFIED;
        }
        LOG.log(System.Logger.Level.ERROR, "An API key could not be checked: {0}", told);
        return Refusal.until(Refusal.Reason.UNAVAILABLE, RetryDelay.after(error));
    }

    /**
     * Whether a call failed because Portcullis is away. A caller can make single calls slow, such as by keys that take long
     * to check: those fail while Portcullis is well.
     */
    private boolean isOutage(Status.Code code, Throwable error) {
        return switch (code) {
            // Of a connection; or else Portcullis itself answered.
            case UNAVAILABLE ->
                ErrorDetail.first(error, ErrorInfo.class)
                                .filter(info -> info.getDomain().equals(DOMAIN))
                                .isEmpty()
                        || client.reportFailure();
            case DEADLINE_EXCEEDED -> client.reportFailure();
            default -> false;
        };
    }
}
