package dev.portcullis.guard;

import dev.portcullis.client.PortcullisClient;
import dev.portcullis.v1.VerificationServiceGrpc.VerificationServiceBlockingStub;
import dev.portcullis.v1.VerifyRequest;
import java.time.Duration;
import java.util.Arrays;
import java.util.List;

/** Measures what a guard costs beyond the call that it makes. */
final class Bench {
    // Long enough for the compiler of the JVM to be done.
    private static final int WARM_UP_ROUNDS = 1000;
    private static final int ROUNDS = 300;
    private static final int CALLS_A_ROUND = 50;

    private Bench() {}

    public static void main(String[] arguments) {
        String key = System.getenv("PORTCULLIS_BENCH_KEY");
        try (PortcullisClient client =
                PortcullisClient.builder().timeout(Duration.ofMinutes(1)).build()) {
            VerificationServiceBlockingStub stub = client.verification();
            Guard guard = Guard.of(client, "default");
            Runnable bare = () -> {
                VerifyRequest request = VerifyRequest.newBuilder()
                        .setKey(key)
                        .setClientIp("127.0.0.1")
                        .build();
                if (!stub.verify(request).getValid()) {
                    throw new IllegalStateException("PORTCULLIS_BENCH_KEY is not valid");
                }
            };
            Runnable guarded = () -> {
                if (guard.check(List.of("Bearer " + key), List.of(), "127.0.0.1") instanceof Refusal refusal) {
                    throw new IllegalStateException(refusal.toString());
                }
            };
            measure(bare, guarded, WARM_UP_ROUNDS);
            double[] medians = measure(bare, guarded, ROUNDS);
            System.out.printf(
                    "stub %.1f us, guard %.1f us, ratio %.3f%n", medians[0], medians[1], medians[1] / medians[0]);
        }
    }

    /** The medians of both, in microseconds a call. */
    private static double[] measure(Runnable bare, Runnable guarded, int rounds) {
        long[] bareTimes = new long[rounds * CALLS_A_ROUND];
        long[] guardedTimes = new long[rounds * CALLS_A_ROUND];
        for (int round = 0; round < rounds; round++) {
            time(bare, bareTimes, round);
            time(guarded, guardedTimes, round);
        }
        return new double[] {median(bareTimes), median(guardedTimes)};
    }

    private static void time(Runnable call, long[] times, int round) {
        for (int i = 0; i < CALLS_A_ROUND; i++) {
            long start = System.nanoTime();
            call.run();
            times[round * CALLS_A_ROUND + i] = System.nanoTime() - start;
        }
    }

    private static double median(long[] times) {
        Arrays.sort(times);
        return times[times.length / 2] / 1e3;
    }
}
