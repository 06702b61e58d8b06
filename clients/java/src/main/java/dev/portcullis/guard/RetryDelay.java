package dev.portcullis.guard;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Timestamp;
import com.google.rpc.RetryInfo;
import io.grpc.protobuf.StatusProto;
import java.time.Duration;
import java.time.Instant;

/** When to try again, in whole seconds, at least 1. */
final class RetryDelay {
    private static final long LONGEST_AFTER_ERROR = 60;

    private RetryDelay() {}

    /** Until a time. */
    static long until(Timestamp time, Instant now) {
        return seconds(Duration.between(now, Instant.ofEpochSecond(time.getSeconds(), time.getNanos())));
    }

    /** As the RetryInfo of a failed call says, up to a minute; 1 without one. */
    static long after(Throwable error) {
        try {
            com.google.rpc.Status status = StatusProto.fromThrowable(error);
            if (status != null) {
                for (Any detail : status.getDetailsList()) {
                    if (detail.is(RetryInfo.class)) {
                        com.google.protobuf.Duration delay =
                                detail.unpack(RetryInfo.class).getRetryDelay();
                        return Math.min(
                                seconds(Duration.ofSeconds(delay.getSeconds(), delay.getNanos())), LONGEST_AFTER_ERROR);
                    }
                }
            }
        } catch (InvalidProtocolBufferException | IllegalArgumentException noDetails) {
            // Something between here and Portcullis spoilt them.
        }
        return 1;
    }

    private static long seconds(Duration delay) {
        long whole = delay.getSeconds() + (delay.getNano() > 0 ? 1 : 0);
        return Math.max(whole, 1);
    }
}
