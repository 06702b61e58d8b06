package dev.portcullis.conformance;

import dev.portcullis.guard.ApiKeyInterceptor;
import dev.portcullis.guard.Guard;
import io.grpc.ForwardingServerCall.SimpleForwardingServerCall;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.netty.shaded.io.grpc.netty.NettyServerBuilder;
import io.grpc.protobuf.services.HealthStatusManager;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.HashMap;
import java.util.Map;

/** A gRPC server for each profile, which say that they serve. */
final class GrpcApp {
    private GrpcApp() {}

    static Map<String, String> start(Stage stage) throws IOException {
        Map<String, String> routes = new HashMap<>();
        for (Map.Entry<String, Guard> entry : stage.guards().entrySet()) {
            // The last interceptor is the outermost.
            Server server = NettyServerBuilder.forAddress(
                            new InetSocketAddress("127.0.0.1", 0), InsecureServerCredentials.create())
                    .addService(ServerInterceptors.intercept(
                            new HealthStatusManager().getHealthService(),
                            new WhoAmI(),
                            ApiKeyInterceptor.of(entry.getValue())))
                    .build()
                    .start();
            routes.put(entry.getKey(), "127.0.0.1:" + server.getPort());
        }
        return routes;
    }

    private static final class WhoAmI implements ServerInterceptor {
        private static final Metadata.Key<String> IDENTITY =
                Metadata.Key.of("x-identity", Metadata.ASCII_STRING_MARSHALLER);

        @Override
        public <Q, A> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
            String identity = IdentityJson.of(ApiKeyInterceptor.IDENTITY.get());
            return next.startCall(
                    new SimpleForwardingServerCall<>(call) {
                        @Override
                        public void sendHeaders(Metadata answer) {
                            answer.put(IDENTITY, identity);
                            super.sendHeaders(answer);
                        }
                    },
                    headers);
        }
    }
}
