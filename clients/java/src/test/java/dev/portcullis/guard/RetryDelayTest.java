package dev.portcullis.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;

import com.google.protobuf.Any;
import com.google.protobuf.Duration;
import com.google.protobuf.Timestamp;
import com.google.rpc.Code;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import com.google.rpc.Status;
import io.grpc.protobuf.StatusProto;
import java.time.Instant;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class RetryDelayTest {
    @ParameterizedTest
    @CsvSource({"1000, 0, 1", "1000, 1, 1", "1001, 0, 1", "1001, 1, 2", "1060, 0, 60", "5000, 0, 4000", "0, 0, 1"})
    void lastsUntilATime(long seconds, int nanos, long delay) {
        Timestamp time =
                Timestamp.newBuilder().setSeconds(seconds).setNanos(nanos).build();

        assertEquals(delay, RetryDelay.until(time, Instant.ofEpochSecond(1000)));
    }

    @ParameterizedTest
    @CsvSource({"0, 0, 1", "0, 50000000, 1", "1, 0, 1", "2, 1, 3", "60, 1, 60", "9999, 0, 60", "-5, 0, 1"})
    void isWhatAnErrorSays(long seconds, int nanos, long delay) {
        RetryInfo info = RetryInfo.newBuilder()
                .setRetryDelay(Duration.newBuilder().setSeconds(seconds).setNanos(nanos))
                .build();
        Status status = Status.newBuilder()
                .setCode(Code.UNAVAILABLE_VALUE)
                .addDetails(Any.pack(ErrorInfo.getDefaultInstance()))
                .addDetails(Any.pack(info))
                .build();

        assertEquals(delay, RetryDelay.after(StatusProto.toStatusRuntimeException(status)));
    }

    @Test
    void isASecondOtherwise() {
        assertEquals(1, RetryDelay.after(io.grpc.Status.UNAVAILABLE.asRuntimeException()));
        assertEquals(1, RetryDelay.after(new IllegalStateException()));
    }
}
