package dev.portcullis.client;

import dev.portcullis.v1.ApiKeyServiceGrpc;
import dev.portcullis.v1.ApiKeyServiceGrpc.ApiKeyServiceBlockingStub;
import dev.portcullis.v1.AuditServiceGrpc;
import dev.portcullis.v1.AuditServiceGrpc.AuditServiceBlockingStub;
import dev.portcullis.v1.KeyspaceServiceGrpc;
import dev.portcullis.v1.KeyspaceServiceGrpc.KeyspaceServiceBlockingStub;
import dev.portcullis.v1.ReplicaServiceGrpc;
import dev.portcullis.v1.ReplicaServiceGrpc.ReplicaServiceBlockingStub;
import dev.portcullis.v1.UsageServiceGrpc;
import dev.portcullis.v1.UsageServiceGrpc.UsageServiceBlockingStub;
import dev.portcullis.v1.VerificationServiceGrpc;
import dev.portcullis.v1.VerificationServiceGrpc.VerificationServiceBlockingStub;
import io.grpc.Channel;
import io.grpc.ChannelCredentials;
import io.grpc.ClientInterceptors;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.ManagedChannel;
import io.grpc.ManagedChannelBuilder;
import io.grpc.NameResolverRegistry;
import io.grpc.TlsChannelCredentials;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.nio.file.Path;
import java.time.Duration;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Calls Portcullis: spreads calls over its replicas, sends the root key with each, and tries those again that end with
 * UNAVAILABLE, or are cut off. Safe to use from many threads; one is enough for a process.
 *
 * <p>A unary call without a deadline of its own gets one, 1 s from its start unless {@link Builder#timeout} says
 * otherwise. A stream gets none: it lasts until one side ends it. A call that fails throws {@link
 * io.grpc.StatusRuntimeException}.
 */
public final class PortcullisClient implements AutoCloseable {
    private static final Map<String, ?> RETRIES = Map.ofEntries(
            Map.entry("maxAttempts", 4.0),
            Map.entry("initialBackoff", "0.05s"),
            Map.entry("maxBackoff", "0.5s"),
            Map.entry("backoffMultiplier", 2.0),
            // UNKNOWN is what gRPC for Java calls the connection that a dying replica cut (grpc-java issue 10120);
            // Portcullis itself never answers with it.
            Map.entry("retryableStatusCodes", List.of("UNAVAILABLE", "UNKNOWN")));

    // The name {} stands for every method.
    private static final Map<String, ?> SERVICE_CONFIG = Map.ofEntries(
            Map.entry("loadBalancingConfig", List.of(Map.of("round_robin", Map.of()))),
            Map.entry("methodConfig", List.of(Map.of("name", List.of(Map.of()), "retryPolicy", RETRIES))));

    private final ManagedChannel connections;
    private final Channel channel;
    private final Reconnection reconnection;
    private final ReadinessMonitor readiness;

    private PortcullisClient(ManagedChannel connections, CallerInterceptor caller, ReadinessMonitor readiness) {
        this.connections = connections;
        connections.getState(true);
        this.channel = ClientInterceptors.intercept(connections, caller);
        this.reconnection = new Reconnection(connections);
        this.readiness = readiness;
    }

    /** A client to be set up; without more, the environment says which server and which root key. */
    public static Builder builder() {
        return new Builder(System.getenv());
    }

    /** What any stub can be made on: {@code VerificationServiceGrpc.newFutureStub(client.channel())}. */
    public Channel channel() {
        return channel;
    }

    /** Verifies keys. */
    public VerificationServiceBlockingStub verification() {
        return VerificationServiceGrpc.newBlockingStub(channel);
    }

    /** Issues, imports, lists, changes, rotates, revokes and deletes keys. */
    public ApiKeyServiceBlockingStub apiKeys() {
        return ApiKeyServiceGrpc.newBlockingStub(channel);
    }

    /** Makes, lists, changes and deletes keyspaces. */
    public KeyspaceServiceBlockingStub keyspaces() {
        return KeyspaceServiceGrpc.newBlockingStub(channel);
    }

    /** Lists what was changed, and by whom. */
    public AuditServiceBlockingStub audit() {
        return AuditServiceGrpc.newBlockingStub(channel);
    }

    /** Counts what keys did. */
    public UsageServiceBlockingStub usage() {
        return UsageServiceGrpc.newBlockingStub(channel);
    }

    /** Lists the replicas of the server. */
    public ReplicaServiceBlockingStub replicas() {
        return ReplicaServiceGrpc.newBlockingStub(channel);
    }

    /**
     * Tells the client that a call failed in a way that an outage may be the cause of, as guards do. Does not wait: a
     * first failure has health asked in the background, once a second at most, until there was none for 30 s.
     *
     * @return whether every replica is known to be unready: unreachable, or not SERVING by its health check {@code
     *     readiness}; false up to the first answer
     */
    public boolean reportFailure() {
        return readiness.reportFailure();
    }

    /**
     * Gives the connections up once the calls under way have ended: a unary call at its deadline at the latest, a stream
     * when one side ends it. Does not wait for that. Calls that begin later fail, but for those so soon after the client
     * was built that it was not connected yet.
     */
    @Override
    public void close() {
        reconnection.close();
        readiness.close();
        connections.shutdown();
    }

    /** How a client is to be. */
    public static final class Builder {
        private static final Duration LONGEST_TIMEOUT = Duration.ofDays(1);

        private List<String> addresses;
        private String rootKey;
        private Path caCertificates;
        private final String allowPlaintextVariable;
        private boolean plaintextAllowed;
        private Duration timeout = Duration.ofSeconds(1);

        Builder(Map<String, String> environment) {
            String server = environment.getOrDefault("PORTCULLIS_SERVER", "");
            addresses = List.of(server.isEmpty() ? "http://127.0.0.1:50051" : server);
            rootKey = environment.getOrDefault("PORTCULLIS_ROOT_KEY", "");
            allowPlaintextVariable = environment.getOrDefault("PORTCULLIS_ALLOW_PLAINTEXT", "");
        }

        /**
         * Where the server listens: {@code http://HOST:PORT} or {@code https://HOST:PORT}. Several are replicas, and so
         * are the several addresses of one name. Default: {@code PORTCULLIS_SERVER}, then {@code
         * http://127.0.0.1:50051}.
         */
        public Builder addresses(String... addresses) {
            this.addresses = List.of(addresses);
            return this;
        }

        /**
         * The root key to call with; blanks and line ends around it are dropped. Default: {@code PORTCULLIS_ROOT_KEY}.
         * There must be one.
         */
        public Builder rootKey(String rootKey) {
            this.rootKey = rootKey;
            return this;
        }

        /**
         * A PEM file with the certificates to trust for {@code https://}; an error with {@code http://}. Default: those
         * that the JVM trusts.
         */
        public Builder caCertificates(Path pem) {
            this.caCertificates = pem;
            return this;
        }

        /**
         * Lets the root key go over {@code http://} to another machine than this: something else encrypts. So does the
         * variable {@code PORTCULLIS_ALLOW_PLAINTEXT} with the value {@code true}.
         */
        public Builder allowPlaintext() {
            this.plaintextAllowed = true;
            return this;
        }

        /**
         * How long a unary call may take that has no deadline of its own, its retries included: up to a day. Default:
         * 1 s.
         */
        public Builder timeout(Duration timeout) {
            this.timeout = timeout;
            return this;
        }

        /**
         * Makes the client, and begins to connect without waiting for it.
         *
         * @throws IllegalArgumentException if there is no root key, an address or the timeout is none, or the root key
         *     would be sent in the clear
         * @throws UncheckedIOException if the CA certificates cannot be read
         */
        public PortcullisClient build() {
            String key = rootKey.strip();
            if (key.isEmpty()) {
                throw new IllegalArgumentException("No root key: set rootKey or PORTCULLIS_ROOT_KEY");
            }
            if (!key.matches("[!-~]+")) {
                throw new IllegalArgumentException("The root key has characters that no key has");
            }
            if (timeout.isNegative() || timeout.isZero() || timeout.compareTo(LONGEST_TIMEOUT) > 0) {
                throw new IllegalArgumentException("A timeout is longer than nothing, and a day at most");
            }
            List<Address> replicas = replicas();
            boolean mayBePlain = isPlaintextAllowed();
            ChannelCredentials credentials = credentials(replicas, mayBePlain);
            return new PortcullisClient(
                    connect(replicas, credentials),
                    new CallerInterceptor(key, timeout, new ConnectionDiagnosis(replicas)),
                    new ReadinessMonitor(replicas, credentials));
        }

        // A wrong address is not repeated: somebody may have put a secret into it.
        private List<Address> replicas() {
            List<Address> replicas = new ArrayList<>();
            for (String address : addresses) {
                int number = replicas.size() + 1;
                if (address.startsWith("dns:")) {
                    throw new IllegalArgumentException("Address " + number
                            + " is a target of gRPC (dns:///): write http://HOST:PORT or https://HOST:PORT. All addresses"
                            + " of the name are used all the same");
                }
                replicas.add(Address.parse(address)
                        .orElseThrow(() -> new IllegalArgumentException(
                                "Address " + number + " is neither http://HOST:PORT nor https://HOST:PORT")));
            }
            return replicas;
        }

        private static ManagedChannel connect(List<Address> replicas, ChannelCredentials credentials) {
            ManagedChannelBuilder<?> channel;
            if (replicas.size() == 1) {
                channel = Grpc.newChannelBuilder(Address.target(replicas.get(0).authority()), credentials);
            } else {
                NameResolverRegistry registry = new NameResolverRegistry();
                registry.register(ReplicaResolver.provider(replicas));
                channel = Grpc.newChannelBuilder(ReplicaResolver.SCHEME + ":///", credentials, registry);
            }
            if (!replicas.get(0).tls()) {
                // Else the proxy that the JVM is set to would be told the root key.
                channel.proxyDetector(server -> null);
            }
            return channel.defaultServiceConfig(SERVICE_CONFIG)
                    .disableServiceConfigLookUp()
                    .enableRetry()
                    .keepAliveTime(30, TimeUnit.SECONDS)
                    .keepAliveTimeout(10, TimeUnit.SECONDS)
                    .keepAliveWithoutCalls(true)
                    .build();
        }

        private boolean isPlaintextAllowed() {
            if (plaintextAllowed) {
                return true;
            }
            return switch (allowPlaintextVariable) {
                case "true", "1", "yes", "on" -> true;
                case "", "false", "0", "no", "off" -> false;
                default ->
                    throw new IllegalArgumentException(
                            "PORTCULLIS_ALLOW_PLAINTEXT must be true or false; is \"" + allowPlaintextVariable + "\"");
            };
        }

        private ChannelCredentials credentials(List<Address> replicas, boolean mayBePlain) {
            long encrypted = replicas.stream().filter(Address::tls).count();
            if (replicas.isEmpty() || (encrypted != 0 && encrypted != replicas.size())) {
                throw new IllegalArgumentException(
                        "All addresses are http://, or all are https://; there is at least one");
            }
            if (encrypted == 0) {
                if (caCertificates != null) {
                    throw new IllegalArgumentException("CA certificates are for https://");
                }
                if (!mayBePlain && !replicas.stream().allMatch(Address::isLoopback)) {
                    throw new IllegalArgumentException(
                            "The root key would be sent in the clear: use https://, or allowPlaintext or"
                                    + " PORTCULLIS_ALLOW_PLAINTEXT=true if something else encrypts the way there");
                }
                return InsecureChannelCredentials.create();
            }
            if (caCertificates == null) {
                return TlsChannelCredentials.create();
            }
            try {
                return TlsChannelCredentials.newBuilder()
                        .trustManager(caCertificates.toFile())
                        .build();
            } catch (IOException e) {
                throw new UncheckedIOException(e);
            }
        }
    }
}
