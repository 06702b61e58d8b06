package dev.portcullis.guard;

import com.google.protobuf.Timestamp;
import com.google.rpc.RetryInfo;
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
        return ErrorDetail.first(error, RetryInfo.class)
                .map(RetryInfo::getRetryDelay)
                .map(delay -> seconds(Duration.ofSeconds(delay.getSeconds(), delay.getNanos())))
                .map(seconds -> Math.min(seconds, LONGEST_AFTER_ERROR))
                .orElse(1L);
    }

    private static long seconds(Duration delay) {
        long whole = delay.getSeconds() + (delay.getNano() > 0 ? 1 : 0);
        return Math.max(whole, 1);
    }
}
