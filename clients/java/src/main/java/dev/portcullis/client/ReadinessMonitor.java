package dev.portcullis.client;

import com.google.common.util.concurrent.ListenableFuture;
import io.grpc.CallOptions;
import io.grpc.ChannelCredentials;
import io.grpc.Grpc;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.MethodDescriptor;
import io.grpc.Status;
import io.grpc.stub.ClientCalls;
import java.io.ByteArrayInputStream;
import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.net.Inet6Address;
import java.net.InetAddress;
import java.net.UnknownHostException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.HashSet;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ExecutionException;
import java.util.concurrent.TimeUnit;

/**
 * Knows whether every replica is unready, by {@code grpc.health.v1}. Asks in a thread of its own, which there is only for
 * some time after a failure, and over connections of its own: those of the client may be full of calls that wait.
 */
final class ReadinessMonitor implements AutoCloseable {
    /** Health is asked at most once in this time, and has as long to answer, the connection included. */
    private static final long INTERVAL = TimeUnit.SECONDS.toNanos(1);

    /** A check that ends later than this says nothing: this process was busy, not Portcullis. */
    private static final long LATE = TimeUnit.SECONDS.toNanos(2);

    /** What a check found holds for this long. */
    private static final long VALID = TimeUnit.SECONDS.toNanos(3);

    /** Health is asked for this long after the last failure. */
    private static final long WATCH = TimeUnit.SECONDS.toNanos(30);

    // The messages have one field each: the service to ask about, and the status, of which 1 is SERVING.
    private static final byte[] READINESS = "\n\treadiness".getBytes(StandardCharsets.US_ASCII);
    private static final byte[] SERVING = {8, 1};

    private static final MethodDescriptor<byte[], byte[]> CHECK = MethodDescriptor.<byte[], byte[]>newBuilder()
            .setType(MethodDescriptor.MethodType.UNARY)
            .setFullMethodName("grpc.health.v1.Health/Check")
            .setRequestMarshaller(new Bytes())
            .setResponseMarshaller(new Bytes())
            .build();

    private final List<Address> replicas;
    private final ChannelCredentials credentials;

    private boolean watching;
    private boolean closed;
    private long watchUntil;
    private boolean unready;
    private long unreadyUntil;

    ReadinessMonitor(List<Address> replicas, ChannelCredentials credentials) {
        this.replicas = replicas;
        this.credentials = credentials;
    }

    /** See {@link PortcullisClient#reportFailure}. */
    synchronized boolean reportFailure() {
        long now = System.nanoTime();
        watchUntil = now + WATCH;
        if (!watching && !closed) {
            watching = true;
            Thread thread = new Thread(this::watch, "portcullis-readiness");
            thread.setDaemon(true);
            thread.start();
        }
        return unready && now - unreadyUntil < 0;
    }

    /** Ends the thread, if there is one. */
    @Override
    public synchronized void close() {
        closed = true;
        notifyAll();
    }

    private void watch() {
        Map<Place, ManagedChannel> channels = new HashMap<>();
        try {
            long start;
            do {
                start = System.nanoTime();
            } while (keepWatching(start, isEveryReplicaUnready(channels)));
        } catch (InterruptedException nobodyDoes) {
            Thread.currentThread().interrupt();
        } finally {
            channels.values().forEach(ManagedChannel::shutdownNow);
        }
    }

    /** Remembers what a check found, and says whether there is to be another; that one may begin when this returns. */
    private synchronized boolean keepWatching(long start, boolean found) throws InterruptedException {
        long now = System.nanoTime();
        unready = found && now - start < LATE && !closed;
        unreadyUntil = now + VALID;
        watching = now - watchUntil < 0 && !closed;
        long left = start + INTERVAL - now;
        while (watching && !closed && left > 0) {
            TimeUnit.NANOSECONDS.timedWait(this, left);
            left = start + INTERVAL - System.nanoTime();
        }
        return watching && !closed;
    }

    /** Asks every replica at once. Keeps the channels for the next time. */
    private boolean isEveryReplicaUnready(Map<Place, ManagedChannel> channels) throws InterruptedException {
        Set<Place> places = lookUp();
        channels.entrySet().removeIf(known -> {
            boolean gone = !places.contains(known.getKey());
            if (gone) {
                known.getValue().shutdownNow();
            }
            return gone;
        });
        List<ListenableFuture<byte[]>> answers = new ArrayList<>();
        for (Place place : places) {
            ManagedChannel channel = channels.computeIfAbsent(place, this::connect);
            // A replica that is away is looked for again.
            channel.resetConnectBackoff();
            CallOptions options = CallOptions.DEFAULT.withDeadlineAfter(INTERVAL, TimeUnit.NANOSECONDS);
            answers.add(ClientCalls.futureUnaryCall(channel.newCall(CHECK, options), READINESS));
        }
        boolean ready = false;
        for (ListenableFuture<byte[]> answer : answers) {
            ready |= isReady(answer);
        }
        return !ready;
    }

    private static boolean isReady(ListenableFuture<byte[]> answer) throws InterruptedException {
        try {
            return Arrays.equals(SERVING, answer.get());
        } catch (ExecutionException e) {
            Status.Code code = Status.fromThrowable(e).getCode();
            // Any other error comes from a replica that is there.
            return code != Status.Code.UNAVAILABLE && code != Status.Code.DEADLINE_EXCEEDED;
        }
    }

    /** One address of a replica, and the name that its certificate must have. */
    private record Place(String target, String authority) {}

    /** All addresses of all names. A name that has none is that of a replica which cannot be reached. */
    private Set<Place> lookUp() {
        Set<Place> found = new HashSet<>();
        for (Address replica : replicas) {
            try {
                for (InetAddress address : InetAddress.getAllByName(replica.host())) {
                    String ip = address.getHostAddress();
                    String host = address instanceof Inet6Address ? "[" + ip + "]" : ip;
                    found.add(new Place(Address.target(host + ":" + replica.port()), replica.authority()));
                }
            } catch (UnknownHostException unreachable) {
                continue;
            }
        }
        return found;
    }

    private ManagedChannel connect(Place place) {
        ManagedChannelBuilder<?> channel =
                Grpc.newChannelBuilder(place.target(), credentials).overrideAuthority(place.authority());
        if (!replicas.get(0).tls()) {
            channel.proxyDetector(server -> null);
        }
        return channel.disableServiceConfigLookUp().disableRetry().build();
    }

    private static final class Bytes implements MethodDescriptor.Marshaller<byte[]> {
        @Override
        public InputStream stream(byte[] message) {
            return new ByteArrayInputStream(message);
        }

        @Override
        public byte[] parse(InputStream message) {
            try {
                return message.readAllBytes();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
