package dev.portcullis.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.TimeUnit;

/** Says who calls, gives a deadline to unary calls that have none, and says why a connection could not be made. */
final class CallerInterceptor implements ClientInterceptor {
    private static final Metadata.Key<String> AUTHORIZATION =
            Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER);

    private final String authorization;
    private final Duration timeout;
    private final ConnectionDiagnosis diagnosis;

    CallerInterceptor(String rootKey, Duration timeout, ConnectionDiagnosis diagnosis) {
        this.authorization = "Bearer " + rootKey;
        this.timeout = timeout;
        this.diagnosis = diagnosis;
    }

    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
        // A stream lasts for as long as its caller likes.
        boolean isOpenEnded = options.getDeadline() == null && method.getType() == MethodDescriptor.MethodType.UNARY;
        CallOptions limited =
                isOpenEnded ? options.withDeadlineAfter(timeout.toNanos(), TimeUnit.NANOSECONDS) : options;
        return new SimpleForwardingClientCall<>(next.newCall(method, limited)) {
            @Override
            public void start(Listener<A> listener, Metadata headers) {
                headers.put(AUTHORIZATION, authorization);
                super.start(
                        new SimpleForwardingClientCallListener<>(listener) {
                            @Override
                            public void onClose(Status status, Metadata trailers) {
                                super.onClose(status.isOk() ? status : diagnosis.diagnosed(status), trailers);
                            }
                        },
                        headers);
            }
        };
    }
}
