package dev.portcullis.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.portcullis.v1.VerificationServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.ClientCall;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class ReconnectionTest {
    @ParameterizedTest
    @CsvSource({"UNAVAILABLE, 1", "DEADLINE_EXCEEDED, 0", "INTERNAL, 0", "OK, 0"})
    void connectsAnewAfterUnavailable(Status.Code code, int times) {
        Connections connections = new Connections(code.toStatus());

        new Reconnection(connections)
                .interceptCall(VerificationServiceGrpc.getVerifyMethod(), CallOptions.DEFAULT, connections)
                .start(new ClientCall.Listener<>() {}, new Metadata());

        assertEquals(times, connections.resets);
    }

    /** Ends every call at once. */
    private static final class Connections extends ManagedChannel {
        private final Status end;
        private int resets;

        Connections(Status end) {
            this.end = end;
        }

        @Override
        public <Q, A> ClientCall<Q, A> newCall(MethodDescriptor<Q, A> method, CallOptions options) {
            return new ClientCall<>() {
                @Override
                public void start(Listener<A> listener, Metadata headers) {
                    listener.onClose(end, new Metadata());
                }

                @Override
                public void request(int messages) {}

                @Override
                public void cancel(String message, Throwable cause) {}

                @Override
                public void halfClose() {}

                @Override
                public void sendMessage(Q message) {}
            };
        }

        @Override
        public void resetConnectBackoff() {
            resets++;
        }

        @Override
        public String authority() {
            return "test";
        }

        @Override
        public ManagedChannel shutdown() {
            return this;
        }

        @Override
        public ManagedChannel shutdownNow() {
            return this;
        }

        @Override
        public boolean isShutdown() {
            return false;
        }

        @Override
        public boolean isTerminated() {
            return false;
        }

        @Override
        public boolean awaitTermination(long timeout, TimeUnit unit) {
            return true;
        }
    }
}
