package dev.portcullis.testing;

import dev.portcullis.client.PortcullisClient;
import dev.portcullis.v1.VerificationServiceGrpc.VerificationServiceImplBase;
import dev.portcullis.v1.VerifyRequest;
import dev.portcullis.v1.VerifyResponse;
import io.grpc.Context;
import io.grpc.Grpc;
import io.grpc.InsecureServerCredentials;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthCheckResponse.ServingStatus;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.health.v1.HealthGrpc.HealthImplBase;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.io.UncheckedIOException;
import java.util.List;
import java.util.concurrent.CopyOnWriteArrayList;
import java.util.concurrent.TimeUnit;
import java.util.function.Function;

/** A server that answers every verification as it is told, and remembers what was asked. */
public final class FakePortcullis extends VerificationServiceImplBase implements AutoCloseable {
    public static final String ROOT_KEY = "root_of_the_fake_server_0123456789";

    public final List<VerifyRequest> requests = new CopyOnWriteArrayList<>();
    public final List<String> callers = new CopyOnWriteArrayList<>();
    public final List<Long> secondsLeft = new CopyOnWriteArrayList<>();

    /** Of each call of grpc.health.v1, what it says of the caller. */
    public final List<String> healthCallers = new CopyOnWriteArrayList<>();

    private volatile Readiness readiness = Readiness.NO_SERVICE;

    private final Function<VerifyRequest, VerifyResponse> answers;
    private final Server server;

    /** {@code answers} gives the answer, null for none at all, or throws the status. */
    public FakePortcullis(Function<VerifyRequest, VerifyResponse> answers) {
        this.answers = answers;
        try {
            this.server = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
                    .addService(this)
                    .addService(new Health())
                    .intercept(new Callers())
                    .build()
                    .start();
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }

    /** What grpc.health.v1 answers about {@code readiness}. */
    public enum Readiness {
        SERVING,
        NOT_SERVING,
        SILENT,
        NO_SERVICE
    }

    public FakePortcullis readiness(Readiness readiness) {
        this.readiness = readiness;
        return this;
    }

    public String address() {
        return "http://127.0.0.1:" + server.getPort();
    }

    /** A client of this server, patient enough for a machine under load. */
    public PortcullisClient client() {
        return PortcullisClient.builder()
                .addresses(address())
                .rootKey(ROOT_KEY)
                .timeout(java.time.Duration.ofMinutes(1))
                .build();
    }

    @Override
    public void verify(VerifyRequest request, StreamObserver<VerifyResponse> caller) {
        requests.add(request);
        secondsLeft.add(Context.current().getDeadline().timeRemaining(TimeUnit.SECONDS));
        try {
            VerifyResponse answer = answers.apply(request);
            if (answer != null) {
                caller.onNext(answer);
                caller.onCompleted();
            }
        } catch (StatusRuntimeException status) {
            caller.onError(status);
        }
    }

    @Override
    public void close() {
        server.shutdownNow();
    }

    private final class Callers implements ServerInterceptor {
        @Override
        public <Q, A> ServerCall.Listener<Q> interceptCall(
                ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
            boolean isHealth = call.getMethodDescriptor().getServiceName().equals(HealthGrpc.SERVICE_NAME);
            String caller = headers.get(Metadata.Key.of("authorization", Metadata.ASCII_STRING_MARSHALLER));
            (isHealth ? healthCallers : callers).add(String.valueOf(caller));
            return next.startCall(call, headers);
        }
    }

    private final class Health extends HealthImplBase {
        @Override
        public void check(HealthCheckRequest request, StreamObserver<HealthCheckResponse> caller) {
            if (readiness == Readiness.NO_SERVICE || !request.getService().equals("readiness")) {
                caller.onError(Status.UNIMPLEMENTED.asRuntimeException());
            } else if (readiness != Readiness.SILENT) {
                caller.onNext(HealthCheckResponse.newBuilder()
                        .setStatus(ServingStatus.valueOf(readiness.name()))
                        .build());
                caller.onCompleted();
            }
        }
    }
}
