package dev.portcullis.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Answers, for every request that your API receives, whether the presented key may do it.
 * A bad key is a verdict with status OK. A gRPC error means that the caller is at fault or that Portcullis cannot
 * answer: then deny.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class VerificationServiceGrpc {

  private VerificationServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "portcullis.v1.VerificationService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.VerifyRequest,
      dev.portcullis.v1.VerifyResponse> getVerifyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "Verify",
      requestType = dev.portcullis.v1.VerifyRequest.class,
      responseType = dev.portcullis.v1.VerifyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.VerifyRequest,
      dev.portcullis.v1.VerifyResponse> getVerifyMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.VerifyRequest, dev.portcullis.v1.VerifyResponse> getVerifyMethod;
    if ((getVerifyMethod = VerificationServiceGrpc.getVerifyMethod) == null) {
      synchronized (VerificationServiceGrpc.class) {
        if ((getVerifyMethod = VerificationServiceGrpc.getVerifyMethod) == null) {
          VerificationServiceGrpc.getVerifyMethod = getVerifyMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.VerifyRequest, dev.portcullis.v1.VerifyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "Verify"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.VerifyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.VerifyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new VerificationServiceMethodDescriptorSupplier("Verify"))
              .build();
        }
      }
    }
    return getVerifyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.BatchVerifyRequest,
      dev.portcullis.v1.BatchVerifyResponse> getBatchVerifyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "BatchVerify",
      requestType = dev.portcullis.v1.BatchVerifyRequest.class,
      responseType = dev.portcullis.v1.BatchVerifyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.BatchVerifyRequest,
      dev.portcullis.v1.BatchVerifyResponse> getBatchVerifyMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.BatchVerifyRequest, dev.portcullis.v1.BatchVerifyResponse> getBatchVerifyMethod;
    if ((getBatchVerifyMethod = VerificationServiceGrpc.getBatchVerifyMethod) == null) {
      synchronized (VerificationServiceGrpc.class) {
        if ((getBatchVerifyMethod = VerificationServiceGrpc.getBatchVerifyMethod) == null) {
          VerificationServiceGrpc.getBatchVerifyMethod = getBatchVerifyMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.BatchVerifyRequest, dev.portcullis.v1.BatchVerifyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "BatchVerify"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.BatchVerifyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.BatchVerifyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new VerificationServiceMethodDescriptorSupplier("BatchVerify"))
              .build();
        }
      }
    }
    return getBatchVerifyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.VerifyStreamRequest,
      dev.portcullis.v1.VerifyStreamResponse> getVerifyStreamMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "VerifyStream",
      requestType = dev.portcullis.v1.VerifyStreamRequest.class,
      responseType = dev.portcullis.v1.VerifyStreamResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.VerifyStreamRequest,
      dev.portcullis.v1.VerifyStreamResponse> getVerifyStreamMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.VerifyStreamRequest, dev.portcullis.v1.VerifyStreamResponse> getVerifyStreamMethod;
    if ((getVerifyStreamMethod = VerificationServiceGrpc.getVerifyStreamMethod) == null) {
      synchronized (VerificationServiceGrpc.class) {
        if ((getVerifyStreamMethod = VerificationServiceGrpc.getVerifyStreamMethod) == null) {
          VerificationServiceGrpc.getVerifyStreamMethod = getVerifyStreamMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.VerifyStreamRequest, dev.portcullis.v1.VerifyStreamResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.BIDI_STREAMING)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "VerifyStream"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.VerifyStreamRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.VerifyStreamResponse.getDefaultInstance()))
              .setSchemaDescriptor(new VerificationServiceMethodDescriptorSupplier("VerifyStream"))
              .build();
        }
      }
    }
    return getVerifyStreamMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static VerificationServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<VerificationServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<VerificationServiceStub>() {
        @java.lang.Override
        public VerificationServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new VerificationServiceStub(channel, callOptions);
        }
      };
    return VerificationServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static VerificationServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<VerificationServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<VerificationServiceBlockingV2Stub>() {
        @java.lang.Override
        public VerificationServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new VerificationServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return VerificationServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static VerificationServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<VerificationServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<VerificationServiceBlockingStub>() {
        @java.lang.Override
        public VerificationServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new VerificationServiceBlockingStub(channel, callOptions);
        }
      };
    return VerificationServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static VerificationServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<VerificationServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<VerificationServiceFutureStub>() {
        @java.lang.Override
        public VerificationServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new VerificationServiceFutureStub(channel, callOptions);
        }
      };
    return VerificationServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Answers, for every request that your API receives, whether the presented key may do it.
   * A bad key is a verdict with status OK. A gRPC error means that the caller is at fault or that Portcullis cannot
   * answer: then deny.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Verifies one presented key. Needs `keys:verify`.
     * </pre>
     */
    default void verify(dev.portcullis.v1.VerifyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.VerifyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getVerifyMethod(), responseObserver);
    }

    /**
     * <pre>
     * Verifies up to 1,000 presented keys. If one of the requests is at fault, or the answers take more than 4 MiB, none
     * is answered. Needs `keys:verify`.
     * </pre>
     */
    default void batchVerify(dev.portcullis.v1.BatchVerifyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.BatchVerifyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getBatchVerifyMethod(), responseObserver);
    }

    /**
     * <pre>
     * Verifies presented keys as they come, for as long as the caller likes. An answer carries the correlation id of its
     * request; answers that take a look into the store may come later than those to requests behind. A request at fault,
     * or a store that cannot be read, ends the stream with the error. A server that is ending answers what it has read,
     * then ends the stream with UNAVAILABLE. Needs `keys:verify`, all the while.
     * </pre>
     */
    default io.grpc.stub.StreamObserver<dev.portcullis.v1.VerifyStreamRequest> verifyStream(
        io.grpc.stub.StreamObserver<dev.portcullis.v1.VerifyStreamResponse> responseObserver) {
      return io.grpc.stub.ServerCalls.asyncUnimplementedStreamingCall(getVerifyStreamMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service VerificationService.
   * <pre>
   * Answers, for every request that your API receives, whether the presented key may do it.
   * A bad key is a verdict with status OK. A gRPC error means that the caller is at fault or that Portcullis cannot
   * answer: then deny.
   * </pre>
   */
  public static abstract class VerificationServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return VerificationServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service VerificationService.
   * <pre>
   * Answers, for every request that your API receives, whether the presented key may do it.
   * A bad key is a verdict with status OK. A gRPC error means that the caller is at fault or that Portcullis cannot
   * answer: then deny.
   * </pre>
   */
  public static final class VerificationServiceStub
      extends io.grpc.stub.AbstractAsyncStub<VerificationServiceStub> {
    private VerificationServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected VerificationServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new VerificationServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Verifies one presented key. Needs `keys:verify`.
     * </pre>
     */
    public void verify(dev.portcullis.v1.VerifyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.VerifyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getVerifyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Verifies up to 1,000 presented keys. If one of the requests is at fault, or the answers take more than 4 MiB, none
     * is answered. Needs `keys:verify`.
     * </pre>
     */
    public void batchVerify(dev.portcullis.v1.BatchVerifyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.BatchVerifyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getBatchVerifyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Verifies presented keys as they come, for as long as the caller likes. An answer carries the correlation id of its
     * request; answers that take a look into the store may come later than those to requests behind. A request at fault,
     * or a store that cannot be read, ends the stream with the error. A server that is ending answers what it has read,
     * then ends the stream with UNAVAILABLE. Needs `keys:verify`, all the while.
     * </pre>
     */
    public io.grpc.stub.StreamObserver<dev.portcullis.v1.VerifyStreamRequest> verifyStream(
        io.grpc.stub.StreamObserver<dev.portcullis.v1.VerifyStreamResponse> responseObserver) {
      return io.grpc.stub.ClientCalls.asyncBidiStreamingCall(
          getChannel().newCall(getVerifyStreamMethod(), getCallOptions()), responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service VerificationService.
   * <pre>
   * Answers, for every request that your API receives, whether the presented key may do it.
   * A bad key is a verdict with status OK. A gRPC error means that the caller is at fault or that Portcullis cannot
   * answer: then deny.
   * </pre>
   */
  public static final class VerificationServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<VerificationServiceBlockingV2Stub> {
    private VerificationServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected VerificationServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new VerificationServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Verifies one presented key. Needs `keys:verify`.
     * </pre>
     */
    public dev.portcullis.v1.VerifyResponse verify(dev.portcullis.v1.VerifyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getVerifyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Verifies up to 1,000 presented keys. If one of the requests is at fault, or the answers take more than 4 MiB, none
     * is answered. Needs `keys:verify`.
     * </pre>
     */
    public dev.portcullis.v1.BatchVerifyResponse batchVerify(dev.portcullis.v1.BatchVerifyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getBatchVerifyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Verifies presented keys as they come, for as long as the caller likes. An answer carries the correlation id of its
     * request; answers that take a look into the store may come later than those to requests behind. A request at fault,
     * or a store that cannot be read, ends the stream with the error. A server that is ending answers what it has read,
     * then ends the stream with UNAVAILABLE. Needs `keys:verify`, all the while.
     * </pre>
     */
    @io.grpc.ExperimentalApi("https://github.com/grpc/grpc-java/issues/10918")
    public io.grpc.stub.BlockingClientCall<dev.portcullis.v1.VerifyStreamRequest, dev.portcullis.v1.VerifyStreamResponse>
        verifyStream() {
      return io.grpc.stub.ClientCalls.blockingBidiStreamingCall(
          getChannel(), getVerifyStreamMethod(), getCallOptions());
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service VerificationService.
   * <pre>
   * Answers, for every request that your API receives, whether the presented key may do it.
   * A bad key is a verdict with status OK. A gRPC error means that the caller is at fault or that Portcullis cannot
   * answer: then deny.
   * </pre>
   */
  public static final class VerificationServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<VerificationServiceBlockingStub> {
    private VerificationServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected VerificationServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new VerificationServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Verifies one presented key. Needs `keys:verify`.
     * </pre>
     */
    public dev.portcullis.v1.VerifyResponse verify(dev.portcullis.v1.VerifyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getVerifyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Verifies up to 1,000 presented keys. If one of the requests is at fault, or the answers take more than 4 MiB, none
     * is answered. Needs `keys:verify`.
     * </pre>
     */
    public dev.portcullis.v1.BatchVerifyResponse batchVerify(dev.portcullis.v1.BatchVerifyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getBatchVerifyMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service VerificationService.
   * <pre>
   * Answers, for every request that your API receives, whether the presented key may do it.
   * A bad key is a verdict with status OK. A gRPC error means that the caller is at fault or that Portcullis cannot
   * answer: then deny.
   * </pre>
   */
  public static final class VerificationServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<VerificationServiceFutureStub> {
    private VerificationServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected VerificationServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new VerificationServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Verifies one presented key. Needs `keys:verify`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.VerifyResponse> verify(
        dev.portcullis.v1.VerifyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getVerifyMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Verifies up to 1,000 presented keys. If one of the requests is at fault, or the answers take more than 4 MiB, none
     * is answered. Needs `keys:verify`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.BatchVerifyResponse> batchVerify(
        dev.portcullis.v1.BatchVerifyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getBatchVerifyMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_VERIFY = 0;
  private static final int METHODID_BATCH_VERIFY = 1;
  private static final int METHODID_VERIFY_STREAM = 2;

  private static final class MethodHandlers<Req, Resp> implements
      io.grpc.stub.ServerCalls.UnaryMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ServerStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.ClientStreamingMethod<Req, Resp>,
      io.grpc.stub.ServerCalls.BidiStreamingMethod<Req, Resp> {
    private final AsyncService serviceImpl;
    private final int methodId;

    MethodHandlers(AsyncService serviceImpl, int methodId) {
      this.serviceImpl = serviceImpl;
      this.methodId = methodId;
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public void invoke(Req request, io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_VERIFY:
          serviceImpl.verify((dev.portcullis.v1.VerifyRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.VerifyResponse>) responseObserver);
          break;
        case METHODID_BATCH_VERIFY:
          serviceImpl.batchVerify((dev.portcullis.v1.BatchVerifyRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.BatchVerifyResponse>) responseObserver);
          break;
        default:
          throw new AssertionError();
      }
    }

    @java.lang.Override
    @java.lang.SuppressWarnings("unchecked")
    public io.grpc.stub.StreamObserver<Req> invoke(
        io.grpc.stub.StreamObserver<Resp> responseObserver) {
      switch (methodId) {
        case METHODID_VERIFY_STREAM:
          return (io.grpc.stub.StreamObserver<Req>) serviceImpl.verifyStream(
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.VerifyStreamResponse>) responseObserver);
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getVerifyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.VerifyRequest,
              dev.portcullis.v1.VerifyResponse>(
                service, METHODID_VERIFY)))
        .addMethod(
          getBatchVerifyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.BatchVerifyRequest,
              dev.portcullis.v1.BatchVerifyResponse>(
                service, METHODID_BATCH_VERIFY)))
        .addMethod(
          getVerifyStreamMethod(),
          io.grpc.stub.ServerCalls.asyncBidiStreamingCall(
            new MethodHandlers<
              dev.portcullis.v1.VerifyStreamRequest,
              dev.portcullis.v1.VerifyStreamResponse>(
                service, METHODID_VERIFY_STREAM)))
        .build();
  }

  private static abstract class VerificationServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    VerificationServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.portcullis.v1.VerificationServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("VerificationService");
    }
  }

  private static final class VerificationServiceFileDescriptorSupplier
      extends VerificationServiceBaseDescriptorSupplier {
    VerificationServiceFileDescriptorSupplier() {}
  }

  private static final class VerificationServiceMethodDescriptorSupplier
      extends VerificationServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    VerificationServiceMethodDescriptorSupplier(java.lang.String methodName) {
      this.methodName = methodName;
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.MethodDescriptor getMethodDescriptor() {
      return getServiceDescriptor().findMethodByName(methodName);
    }
  }

  private static volatile io.grpc.ServiceDescriptor serviceDescriptor;

  public static io.grpc.ServiceDescriptor getServiceDescriptor() {
    io.grpc.ServiceDescriptor result = serviceDescriptor;
    if (result == null) {
      synchronized (VerificationServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new VerificationServiceFileDescriptorSupplier())
              .addMethod(getVerifyMethod())
              .addMethod(getBatchVerifyMethod())
              .addMethod(getVerifyStreamMethod())
              .build();
        }
      }
    }
    return result;
  }
}
