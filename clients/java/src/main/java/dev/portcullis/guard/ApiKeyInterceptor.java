package dev.portcullis.guard;

import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import io.grpc.Context;
import io.grpc.Contexts;
import io.grpc.Grpc;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusException;
import io.grpc.protobuf.StatusProto;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.function.BiFunction;

/**
 * Guards the methods of a gRPC server. Handlers find the {@link Identity} in {@link #IDENTITY}; calls that are refused
 * never reach them. Immutable: each method that sets something returns another interceptor.
 *
 * <p>No thread waits for the answer: a call is put off until it is there. Then it is begun in a thread of the client's:
 * that runs the interceptors behind this one, and, of a method with streamed requests, the handler until it has given
 * its observer, and its onReadyHandler the first time. All else runs in the server's executor, as always.
 */
public final class ApiKeyInterceptor implements ServerInterceptor {
    /** Who sent the call that is being handled. */
    public static final Context.Key<Identity> IDENTITY = Context.key("dev.portcullis.identity");

    private static final System.Logger LOG = System.getLogger(ApiKeyInterceptor.class.getName());
    private static final Metadata.Key<String> AUTHORIZATION =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);
    private static final Metadata.Key<String> API_KEY = Metadata.Key.of("x-api-key", Metadata.ASCII_STRING_MARSHALLER);

    private final Guard guard;
    private final Map<String, Optional<Guard>> rules;
    private final BiFunction<ServerCall<?, ?>, Metadata, String> clientIp;

    private ApiKeyInterceptor(
            Guard guard, Map<String, Optional<Guard>> rules, BiFunction<ServerCall<?, ?>, Metadata, String> clientIp) {
        this.guard = guard;
        this.rules = rules;
        this.clientIp = clientIp;
    }

    /** An interceptor that holds every method to this guard, and takes the peer of the connection for who calls. */
    public static ApiKeyInterceptor of(Guard guard) {
        return new ApiKeyInterceptor(guard, Map.of(), (call, headers) -> peer(call));
    }

    /** Holds one method to another guard. */
    public ApiKeyInterceptor method(MethodDescriptor<?, ?> method, Guard guard) {
        return rule(method, Optional.of(guard));
    }

    /** Lets everybody call one method, without a key: a health check, say. */
    public ApiKeyInterceptor open(MethodDescriptor<?, ?> method) {
        return rule(method, Optional.empty());
    }

    /** Is told whose address sends a call: IPv4 or IPv6 without a port; null if unknown. */
    public ApiKeyInterceptor clientIp(BiFunction<ServerCall<?, ?>, Metadata, String> clientIp) {
        return new ApiKeyInterceptor(guard, rules, clientIp);
    }

    @Override
    public <Q, A> ServerCall.Listener<Q> interceptCall(
            ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        String method = call.getMethodDescriptor().getFullMethodName();
        Optional<Guard> rule = rules.getOrDefault(method, Optional.of(guard));
        if (rule.isEmpty()) {
            return next.startCall(call, headers);
        }
        Context context = Context.current();
        DelayedListener<Q> listener = new DelayedListener<>();
        rule.get()
                .checkAsync(lines(headers, AUTHORIZATION), lines(headers, API_KEY), clientIp.apply(call, headers))
                .thenAccept(decision -> {
                    if (decision instanceof Identity identity) {
                        begin(call, headers, next, context.withValue(IDENTITY, identity), listener);
                    } else {
                        refuse(call, (Refusal) decision);
                    }
                });
        return listener;
    }

    private ApiKeyInterceptor rule(MethodDescriptor<?, ?> method, Optional<Guard> rule) {
        Map<String, Optional<Guard>> more = new HashMap<>(rules);
        more.put(method.getFullMethodName(), rule);
        return new ApiKeyInterceptor(guard, Map.copyOf(more), clientIp);
    }

    private static <Q, A> void begin(
            ServerCall<Q, A> call,
            Metadata headers,
            ServerCallHandler<Q, A> next,
            Context context,
            DelayedListener<Q> listener) {
        if (call.isCancelled()) {
            return;
        }
        try {
            listener.open(() -> Contexts.interceptCall(context, call, headers, next));
        } catch (RuntimeException | Error error) {
            // The server does the same for handlers that fail in its own threads.
            LOG.log(System.Logger.Level.ERROR, "A handler failed", error);
            call.close(Status.UNKNOWN.withDescription("Application error processing RPC"), new Metadata());
        }
    }

    private static void refuse(ServerCall<?, ?> call, Refusal refusal) {
        ErrorInfo.Builder info =
                ErrorInfo.newBuilder().setReason(refusal.reason().name()).setDomain("portcullis.guard");
        if (!refusal.missingScopes().isEmpty()) {
            info.putMetadata("missing_scopes", String.join(" ", refusal.missingScopes()));
        }
        com.google.rpc.Status.Builder status = com.google.rpc.Status.newBuilder()
                .setCode(refusal.reason().grpcCode().value())
                .setMessage(refusal.reason().message())
                .addDetails(Any.pack(info.build()));
        if (refusal.retryAfter() > 0) {
            com.google.protobuf.Duration delay = com.google.protobuf.Duration.newBuilder()
                    .setSeconds(refusal.retryAfter())
                    .build();
            status.addDetails(
                    Any.pack(RetryInfo.newBuilder().setRetryDelay(delay).build()));
        }
        StatusException refused = StatusProto.toStatusException(status.build());
        call.close(refused.getStatus(), refused.getTrailers());
    }

    private static Iterable<String> lines(Metadata headers, Metadata.Key<String> name) {
        Iterable<String> lines = headers.getAll(name);
        return lines == null ? List.of() : lines;
    }

    private static String peer(ServerCall<?, ?> call) {
        return call.getAttributes().get(Grpc.TRANSPORT_ATTR_REMOTE_ADDR) instanceof InetSocketAddress peer
                        && !peer.isUnresolved()
                ? peer.getAddress().getHostAddress()
                : null;
    }
}
