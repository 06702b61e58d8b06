package dev.portcullis.client;

import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.ClientInterceptor;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.ForwardingClientCallListener.SimpleForwardingClientCallListener;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.time.Duration;
import java.util.concurrent.atomic.AtomicLong;

/**
 * Connects anew after calls that found no server, at most once a second. Left alone, gRPC waits longer from attempt to
 * attempt, up to two minutes, and so long would a server that is back go without calls.
 */
final class Reconnection implements ClientInterceptor {
    private static final long INTERVAL = Duration.ofSeconds(1).toNanos();

    private final ManagedChannel connections;
    private final AtomicLong last = new AtomicLong(System.nanoTime() - INTERVAL);

    Reconnection(ManagedChannel connections) {
        this.connections = connections;
    }

    @Override
    public <Q, A> ClientCall<Q, A> interceptCall(MethodDescriptor<Q, A> method, CallOptions options, Channel next) {
        return new SimpleForwardingClientCall<>(next.newCall(method, options)) {
            @Override
            public void start(Listener<A> listener, Metadata headers) {
                super.start(new Watch<>(listener), headers);
            }
        };
    }

    private final class Watch<A> extends SimpleForwardingClientCallListener<A> {
        Watch(ClientCall.Listener<A> listener) {
            super(listener);
        }

        @Override
        public void onClose(Status status, Metadata trailers) {
            if (status.getCode() == Status.Code.UNAVAILABLE) {
                long now = System.nanoTime();
                long before = last.get();
                if (now - before >= INTERVAL && last.compareAndSet(before, now)) {
                    connections.resetConnectBackoff();
                }
            }
            super.onClose(status, trailers);
        }
    }
}
