package dev.portcullis.client;

import io.grpc.ManagedChannel;
import java.util.concurrent.Executors;
import java.util.concurrent.ScheduledExecutorService;
import java.util.concurrent.TimeUnit;

/**
 * Has replicas that are away looked for again every 2 s. Left alone, gRPC waits longer from attempt to attempt, up to
 * two minutes, and so long would a replica that is back go without calls.
 */
final class Reconnection implements AutoCloseable {
    private static final long SECONDS = 2;

    private final ScheduledExecutorService timer;

    Reconnection(ManagedChannel connections) {
        timer = Executors.newSingleThreadScheduledExecutor(task -> {
            Thread thread = new Thread(task, "portcullis-reconnection");
            thread.setDaemon(true);
            return thread;
        });
        timer.scheduleWithFixedDelay(connections::resetConnectBackoff, SECONDS, SECONDS, TimeUnit.SECONDS);
    }

    @Override
    public void close() {
        timer.shutdown();
    }
}
