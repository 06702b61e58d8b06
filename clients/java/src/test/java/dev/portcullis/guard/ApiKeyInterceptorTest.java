package dev.portcullis.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;

import com.google.protobuf.Any;
import com.google.rpc.ErrorInfo;
import com.google.rpc.RetryInfo;
import dev.portcullis.client.PortcullisClient;
import dev.portcullis.testing.FakePortcullis;
import dev.portcullis.v1.Verdict;
import dev.portcullis.v1.VerifyResponse;
import io.grpc.Grpc;
import io.grpc.InsecureChannelCredentials;
import io.grpc.InsecureServerCredentials;
import io.grpc.ManagedChannel;
import io.grpc.Metadata;
import io.grpc.Server;
import io.grpc.ServerCall;
import io.grpc.ServerCallHandler;
import io.grpc.ServerInterceptor;
import io.grpc.ServerInterceptors;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import io.grpc.health.v1.HealthCheckRequest;
import io.grpc.health.v1.HealthCheckResponse;
import io.grpc.health.v1.HealthGrpc;
import io.grpc.protobuf.StatusProto;
import io.grpc.stub.MetadataUtils;
import io.grpc.stub.StreamObserver;
import java.io.IOException;
import java.util.Iterator;
import java.util.List;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.AfterEach;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.Timeout;

/** Guards a health service, because its stubs are there. The limit is for a guard that waits where it must not. */
@Timeout(value = 2, unit = TimeUnit.MINUTES, threadMode = Timeout.ThreadMode.SEPARATE_THREAD)
class ApiKeyInterceptorTest {
    private static final VerifyResponse VALID =
            VerifyResponse.newBuilder().setValid(true).setSubject("user_1").build();

    private VerifyResponse answer = VALID;
    private ServerInterceptor inner = ApiKeyInterceptorTest::passOn;
    private Server server;
    private ManagedChannel channel;
    private final FakePortcullis portcullis = new FakePortcullis(request -> answer);
    private final PortcullisClient client = portcullis.client();
    private final Guard guard = Guard.of(client, "default");

    /** Check fails unless the caller is whom the request names; Watch answers twice. */
    private static final class Health extends HealthGrpc.HealthImplBase {
        @Override
        public void check(HealthCheckRequest request, StreamObserver<HealthCheckResponse> caller) {
            Identity identity = ApiKeyInterceptor.IDENTITY.get();
            if (!request.getService().equals(identity == null ? "" : identity.subject())) {
                throw new IllegalStateException("somebody else");
            }
            caller.onNext(HealthCheckResponse.getDefaultInstance());
            caller.onCompleted();
        }

        @Override
        public void watch(HealthCheckRequest request, StreamObserver<HealthCheckResponse> caller) {
            caller.onNext(HealthCheckResponse.getDefaultInstance());
            caller.onNext(HealthCheckResponse.getDefaultInstance());
            caller.onCompleted();
        }
    }

    @AfterEach
    void stop() {
        channel.shutdownNow();
        server.shutdownNow();
        client.close();
        portcullis.close();
    }

    private HealthGrpc.HealthBlockingStub start(ApiKeyInterceptor interceptor, String... headers) throws IOException {
        server = Grpc.newServerBuilderForPort(0, InsecureServerCredentials.create())
                .directExecutor()
                .addService(ServerInterceptors.intercept(new Health(), inner))
                .intercept(interceptor)
                .build()
                .start();
        channel = Grpc.newChannelBuilder("127.0.0.1:" + server.getPort(), InsecureChannelCredentials.create())
                .build();
        Metadata metadata = new Metadata();
        for (int i = 0; i < headers.length; i += 2) {
            metadata.put(Metadata.Key.of(headers[i], Metadata.ASCII_STRING_MARSHALLER), headers[i + 1]);
        }
        return HealthGrpc.newBlockingStub(channel)
                .withInterceptors(MetadataUtils.newAttachHeadersInterceptor(metadata));
    }

    private static <Q, A> ServerCall.Listener<Q> passOn(
            ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        return next.startCall(call, headers);
    }

    private static <Q, A> ServerCall.Listener<Q> fail(
            ServerCall<Q, A> call, Metadata headers, ServerCallHandler<Q, A> next) {
        throw new IllegalStateException("not begun");
    }

    private static HealthCheckRequest service(String name) {
        return HealthCheckRequest.newBuilder().setService(name).build();
    }

    private static StatusRuntimeException refused(HealthGrpc.HealthBlockingStub stub) {
        return assertThrows(StatusRuntimeException.class, () -> stub.check(service("user_1")));
    }

    @Test
    void tellsTheHandlerWhoCalls() throws Exception {
        start(ApiKeyInterceptor.of(guard), "x-api-key", "k").check(service("user_1"));

        assertEquals("127.0.0.1", portcullis.requests.get(0).getClientIp());
    }

    @Test
    void putsStreamsOffToo() throws Exception {
        Iterator<HealthCheckResponse> answers =
                start(ApiKeyInterceptor.of(guard), "authorization", "Bearer k").watch(service(""));

        answers.next();
        answers.next();
        assertEquals(false, answers.hasNext());
    }

    @Test
    void holdsMethodsToTheirRules() throws Exception {
        HealthGrpc.HealthBlockingStub stub = start(
                ApiKeyInterceptor.of(guard.scopes("any")).method(HealthGrpc.getWatchMethod(), guard.scopes("watch")),
                "x-api-key",
                "k");

        stub.check(service("user_1"));
        stub.watch(service("")).next();

        assertEquals(List.of("any"), portcullis.requests.get(0).getRequiredScopesList());
        assertEquals(List.of("watch"), portcullis.requests.get(1).getRequiredScopesList());
    }

    @Test
    void leavesOpenMethodsAlone() throws Exception {
        HealthGrpc.HealthBlockingStub stub = start(ApiKeyInterceptor.of(guard).open(HealthGrpc.getCheckMethod()));

        stub.check(service(""));

        assertThrows(StatusRuntimeException.class, () -> stub.watch(service("")).next());
        assertEquals(List.of(), portcullis.requests);
    }

    @Test
    void isToldTheAddress() throws Exception {
        start(ApiKeyInterceptor.of(guard).clientIp((call, headers) -> "192.0.2.9"), "x-api-key", "k")
                .check(service("user_1"));

        assertEquals("192.0.2.9", portcullis.requests.get(0).getClientIp());
    }

    @Test
    void saysWhichScopesAreMissing() throws Exception {
        answer = VerifyResponse.newBuilder()
                .setVerdict(Verdict.VERDICT_INSUFFICIENT_SCOPE)
                .addAllMissingScopes(List.of("a", "b"))
                .build();

        StatusRuntimeException error = refused(start(ApiKeyInterceptor.of(guard), "x-api-key", "k"));

        assertEquals(Status.Code.PERMISSION_DENIED, error.getStatus().getCode());
        assertEquals(
                "The API key lacks a scope that this needs.", error.getStatus().getDescription());
        ErrorInfo wanted = ErrorInfo.newBuilder()
                .setReason("INSUFFICIENT_SCOPE")
                .setDomain("portcullis.guard")
                .putMetadata("missing_scopes", "a b")
                .build();
        assertEquals(List.of(Any.pack(wanted)), StatusProto.fromThrowable(error).getDetailsList());
    }

    @Test
    void saysWhenToTryAgain() throws Exception {
        answer = VerifyResponse.newBuilder()
                .setVerdict(Verdict.VERDICT_RATE_LIMITED)
                .build();

        StatusRuntimeException error = refused(start(ApiKeyInterceptor.of(guard), "x-api-key", "k"));

        Any detail = StatusProto.fromThrowable(error).getDetails(1);
        assertEquals(1, detail.unpack(RetryInfo.class).getRetryDelay().getSeconds());
    }

    @Test
    void endsACallWhoseHandlerFails() throws Exception {
        HealthGrpc.HealthBlockingStub stub = start(ApiKeyInterceptor.of(guard), "x-api-key", "k");

        StatusRuntimeException error = assertThrows(StatusRuntimeException.class, () -> stub.check(service("user_2")));

        assertEquals(Status.Code.UNKNOWN, error.getStatus().getCode());
    }

    @Test
    void endsACallWhoseHandlerDoesNotBegin() throws Exception {
        inner = ApiKeyInterceptorTest::fail;

        StatusRuntimeException error = refused(start(ApiKeyInterceptor.of(guard), "x-api-key", "k"));

        assertEquals(Status.Code.UNKNOWN, error.getStatus().getCode());
    }

    @Test
    void keepsNoThreadOfTheServerWaiting() throws Exception {
        // The server has only its transport thread: a guard that waits there would stop the open method.
        answer = null;
        HealthGrpc.HealthBlockingStub stub =
                start(ApiKeyInterceptor.of(guard).open(HealthGrpc.getCheckMethod()), "x-api-key", "k");
        CountDownLatch ended = new CountDownLatch(1);
        HealthGrpc.newStub(stub.getChannel()).watch(service(""), new StreamObserver<>() {
            @Override
            public void onNext(HealthCheckResponse response) {}

            @Override
            public void onError(Throwable error) {
                ended.countDown();
            }

            @Override
            public void onCompleted() {
                ended.countDown();
            }
        });
        while (portcullis.requests.isEmpty() && ended.getCount() == 1) {
            Thread.onSpinWait();
        }

        stub.check(service(""));

        assertEquals(1, ended.getCount());
    }
}
