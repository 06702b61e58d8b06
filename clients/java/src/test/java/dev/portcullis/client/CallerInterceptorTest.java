package dev.portcullis.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNotNull;
import static org.junit.jupiter.api.Assertions.assertNull;

import dev.portcullis.v1.VerificationServiceGrpc;
import io.grpc.CallOptions;
import io.grpc.Channel;
import io.grpc.ClientCall;
import io.grpc.Deadline;
import io.grpc.ForwardingClientCall.SimpleForwardingClientCall;
import io.grpc.MethodDescriptor;
import java.time.Duration;
import java.util.List;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class CallerInterceptorTest {
    /** The deadline that a call goes out with. */
    private static Deadline deadline(MethodDescriptor<?, ?> method, CallOptions options) {
        Deadline[] seen = new Deadline[1];
        Channel next = new Channel() {
            @Override
            public <Q, A> ClientCall<Q, A> newCall(MethodDescriptor<Q, A> called, CallOptions given) {
                seen[0] = given.getDeadline();
                return new SimpleForwardingClientCall<>(null) {};
            }

            @Override
            public String authority() {
                return "";
            }
        };
        new CallerInterceptor("root_key", Duration.ofMinutes(1), new ConnectionDiagnosis(List.of()))
                .interceptCall(method, options, next);
        return seen[0];
    }

    @Test
    void onlyUnaryCallsGetADeadline() {
        assertNotNull(deadline(VerificationServiceGrpc.getVerifyMethod(), CallOptions.DEFAULT));
        assertNull(deadline(VerificationServiceGrpc.getVerifyStreamMethod(), CallOptions.DEFAULT));
    }

    @Test
    void theirOwnDeadlineStays() {
        Deadline own = Deadline.after(1, TimeUnit.HOURS);
        CallOptions options = CallOptions.DEFAULT.withDeadline(own);
        assertEquals(own, deadline(VerificationServiceGrpc.getVerifyMethod(), options));
        assertEquals(own, deadline(VerificationServiceGrpc.getVerifyStreamMethod(), options));
    }
}
