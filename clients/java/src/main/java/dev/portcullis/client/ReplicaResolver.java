package dev.portcullis.client;

import io.grpc.Attributes;
import io.grpc.EquivalentAddressGroup;
import io.grpc.NameResolver;
import io.grpc.NameResolverProvider;
import io.grpc.Status;
import io.grpc.StatusOr;
import java.net.InetAddress;
import java.net.InetSocketAddress;
import java.net.SocketAddress;
import java.net.URI;
import java.net.UnknownHostException;
import java.util.ArrayList;
import java.util.Collection;
import java.util.List;
import java.util.Map;
import java.util.Set;
import java.util.concurrent.ConcurrentHashMap;

/** Finds the replicas of a list: each address, or all addresses of each name. */
final class ReplicaResolver extends NameResolver {
    static final String SCHEME = "replicas";

    private final List<Address> replicas;
    private final Args args;
    private final Map<Address, InetAddress[]> known = new ConcurrentHashMap<>();
    private Listener2 listener;

    private ReplicaResolver(List<Address> replicas, Args args) {
        this.replicas = replicas;
        this.args = args;
    }

    static NameResolverProvider provider(List<Address> replicas) {
        return new NameResolverProvider() {
            @Override
            public NameResolver newNameResolver(URI target, Args args) {
                return new ReplicaResolver(replicas, args);
            }

            @Override
            public String getDefaultScheme() {
                return SCHEME;
            }

            @Override
            public Collection<Class<? extends SocketAddress>> getProducedSocketAddressTypes() {
                return Set.of(InetSocketAddress.class);
            }

            @Override
            protected boolean isAvailable() {
                return true;
            }

            @Override
            protected int priority() {
                return 5;
            }
        };
    }

    @Override
    public String getServiceAuthority() {
        return replicas.get(0).authority();
    }

    @Override
    public void start(Listener2 listener) {
        this.listener = listener;
        refresh();
    }

    @Override
    public void refresh() {
        args.getOffloadExecutor().execute(() -> {
            ResolutionResult result =
                    ResolutionResult.newBuilder().setAddressesOrError(resolve()).build();
            args.getSynchronizationContext().execute(() -> listener.onResult2(result));
        });
    }

    @Override
    public void shutdown() {}

    // A name that cannot be resolved leaves the other replicas in use, and its own where they were last.
    private StatusOr<List<EquivalentAddressGroup>> resolve() {
        List<EquivalentAddressGroup> found = new ArrayList<>();
        Status failure = Status.UNAVAILABLE;
        for (Address replica : replicas) {
            // A replica's certificate is its own, not that of the first.
            Attributes own = Attributes.newBuilder()
                    .set(EquivalentAddressGroup.ATTR_AUTHORITY_OVERRIDE, replica.authority())
                    .build();
            try {
                known.put(replica, InetAddress.getAllByName(replica.host()));
            } catch (UnknownHostException e) {
                failure = failure.withDescription("Cannot resolve " + replica.host());
            }
            for (InetAddress address : known.getOrDefault(replica, new InetAddress[0])) {
                found.add(new EquivalentAddressGroup(new InetSocketAddress(address, replica.port()), own));
            }
        }
        return found.isEmpty() ? StatusOr.fromStatus(failure) : StatusOr.fromValue(found);
    }
}
