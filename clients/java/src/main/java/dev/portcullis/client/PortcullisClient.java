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
import java.util.List;
import java.util.Map;
import java.util.concurrent.TimeUnit;

/**
 * Calls Portcullis: spreads calls over its replicas, sends the root key with each, and tries those again that end with
 * UNAVAILABLE. Safe to use from many threads; one is enough for a process.
 *
 * <p>A call without a deadline of its own gets one, 1 s from its start unless {@link Builder#timeout} says otherwise.
 * That holds for streams too: give those {@code withDeadlineAfter} as long as they are to last. A call that fails
 * throws {@link io.grpc.StatusRuntimeException}.
 */
public final class PortcullisClient implements AutoCloseable {
    private static final Map<String, ?> RETRIES = Map.ofEntries(
            Map.entry("maxAttempts", 4.0),
            Map.entry("initialBackoff", "0.05s"),
            Map.entry("maxBackoff", "0.5s"),
            Map.entry("backoffMultiplier", 2.0),
            Map.entry("retryableStatusCodes", List.of("UNAVAILABLE")));

    // The name {} stands for every method.
    private static final Map<String, ?> SERVICE_CONFIG = Map.ofEntries(
            Map.entry("loadBalancingConfig", List.of(Map.of("round_robin", Map.of()))),
            Map.entry("methodConfig", List.of(Map.of("name", List.of(Map.of()), "retryPolicy", RETRIES))));

    private final ManagedChannel connections;
    private final Channel channel;

    private PortcullisClient(ManagedChannel connections, CallerInterceptor caller) {
        this.connections = connections;
        connections.getState(true);
        this.channel = ClientInterceptors.intercept(connections, caller, new Reconnection(connections));
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

    /** Begins no more calls; those under way go on, to their deadlines at most. */
    @Override
    public void close() {
        connections.shutdown();
    }

    /** How a client is to be. */
    public static final class Builder {
        private List<String> addresses;
        private String rootKey;
        private Path caCertificates;
        private boolean plaintextAllowed;
        private Duration timeout = Duration.ofSeconds(1);

        Builder(Map<String, String> environment) {
            addresses = List.of(environment.getOrDefault("PORTCULLIS_SERVER", "http://127.0.0.1:50051"));
            rootKey = environment.getOrDefault("PORTCULLIS_ROOT_KEY", "");
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

        /** The root key to call with. Default: {@code PORTCULLIS_ROOT_KEY}. There must be one. */
        public Builder rootKey(String rootKey) {
            this.rootKey = rootKey;
            return this;
        }

        /** A PEM file with the certificates to trust for {@code https://}. Default: those that the JVM trusts. */
        public Builder caCertificates(Path pem) {
            this.caCertificates = pem;
            return this;
        }

        /** Lets the root key go over {@code http://} to another machine than this: something else encrypts. */
        public Builder allowPlaintext() {
            this.plaintextAllowed = true;
            return this;
        }

        /** How long a unary call may take that has no deadline of its own, its retries included. Default: 1 s. */
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
            if (rootKey.isEmpty()) {
                throw new IllegalArgumentException("No root key: set rootKey or PORTCULLIS_ROOT_KEY");
            }
            if (!rootKey.matches("[!-~]+")) {
                throw new IllegalArgumentException("The root key has characters that no key has");
            }
            if (timeout.isNegative() || timeout.isZero()) {
                throw new IllegalArgumentException("The timeout must be longer than nothing");
            }
            List<Address> replicas = addresses.stream().map(Address::parse).toList();
            return new PortcullisClient(connect(replicas), new CallerInterceptor(rootKey, timeout));
        }

        private ManagedChannel connect(List<Address> replicas) {
            ChannelCredentials credentials = credentials(replicas);
            ManagedChannelBuilder<?> channel;
            if (replicas.size() == 1) {
                channel = Grpc.newChannelBuilder("dns:///" + replicas.get(0).authority(), credentials);
            } else {
                NameResolverRegistry registry = new NameResolverRegistry();
                registry.register(ReplicaResolver.provider(replicas));
                channel = Grpc.newChannelBuilder(ReplicaResolver.SCHEME + ":///", credentials, registry);
            }
            return channel.defaultServiceConfig(SERVICE_CONFIG)
                    .disableServiceConfigLookUp()
                    .enableRetry()
                    .keepAliveTime(30, TimeUnit.SECONDS)
                    .keepAliveTimeout(10, TimeUnit.SECONDS)
                    .keepAliveWithoutCalls(true)
                    .build();
        }

        private ChannelCredentials credentials(List<Address> replicas) {
            long encrypted = replicas.stream().filter(Address::tls).count();
            if (replicas.isEmpty() || (encrypted != 0 && encrypted != replicas.size())) {
                throw new IllegalArgumentException(
                        "All addresses are http://, or all are https://; there is at least one");
            }
            if (encrypted == 0) {
                if (caCertificates != null) {
                    throw new IllegalArgumentException("CA certificates are for https://");
                }
                if (!plaintextAllowed && !replicas.stream().allMatch(Address::isLoopback)) {
                    throw new IllegalArgumentException(
                            "The root key would be sent in the clear: use https://, or allowPlaintext");
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
