package dev.portcullis.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Shows the processes that share a database, for whoever runs them.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class ReplicaServiceGrpc {

  private ReplicaServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "portcullis.v1.ReplicaService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.ListReplicasRequest,
      dev.portcullis.v1.ListReplicasResponse> getListReplicasMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListReplicas",
      requestType = dev.portcullis.v1.ListReplicasRequest.class,
      responseType = dev.portcullis.v1.ListReplicasResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.ListReplicasRequest,
      dev.portcullis.v1.ListReplicasResponse> getListReplicasMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.ListReplicasRequest, dev.portcullis.v1.ListReplicasResponse> getListReplicasMethod;
    if ((getListReplicasMethod = ReplicaServiceGrpc.getListReplicasMethod) == null) {
      synchronized (ReplicaServiceGrpc.class) {
        if ((getListReplicasMethod = ReplicaServiceGrpc.getListReplicasMethod) == null) {
          ReplicaServiceGrpc.getListReplicasMethod = getListReplicasMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.ListReplicasRequest, dev.portcullis.v1.ListReplicasResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListReplicas"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.ListReplicasRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.ListReplicasResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ReplicaServiceMethodDescriptorSupplier("ListReplicas"))
              .build();
        }
      }
    }
    return getListReplicasMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static ReplicaServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReplicaServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReplicaServiceStub>() {
        @java.lang.Override
        public ReplicaServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReplicaServiceStub(channel, callOptions);
        }
      };
    return ReplicaServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static ReplicaServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReplicaServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReplicaServiceBlockingV2Stub>() {
        @java.lang.Override
        public ReplicaServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReplicaServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return ReplicaServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static ReplicaServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReplicaServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReplicaServiceBlockingStub>() {
        @java.lang.Override
        public ReplicaServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReplicaServiceBlockingStub(channel, callOptions);
        }
      };
    return ReplicaServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static ReplicaServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ReplicaServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ReplicaServiceFutureStub>() {
        @java.lang.Override
        public ReplicaServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ReplicaServiceFutureStub(channel, callOptions);
        }
      };
    return ReplicaServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Shows the processes that share a database, for whoever runs them.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * All replicas, by name. Over SQLite: the one that answers. Needs `admin`.
     * </pre>
     */
    default void listReplicas(dev.portcullis.v1.ListReplicasRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.ListReplicasResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListReplicasMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service ReplicaService.
   * <pre>
   * Shows the processes that share a database, for whoever runs them.
   * </pre>
   */
  public static abstract class ReplicaServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return ReplicaServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service ReplicaService.
   * <pre>
   * Shows the processes that share a database, for whoever runs them.
   * </pre>
   */
  public static final class ReplicaServiceStub
      extends io.grpc.stub.AbstractAsyncStub<ReplicaServiceStub> {
    private ReplicaServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReplicaServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReplicaServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * All replicas, by name. Over SQLite: the one that answers. Needs `admin`.
     * </pre>
     */
    public void listReplicas(dev.portcullis.v1.ListReplicasRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.ListReplicasResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListReplicasMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service ReplicaService.
   * <pre>
   * Shows the processes that share a database, for whoever runs them.
   * </pre>
   */
  public static final class ReplicaServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<ReplicaServiceBlockingV2Stub> {
    private ReplicaServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReplicaServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReplicaServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * All replicas, by name. Over SQLite: the one that answers. Needs `admin`.
     * </pre>
     */
    public dev.portcullis.v1.ListReplicasResponse listReplicas(dev.portcullis.v1.ListReplicasRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListReplicasMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service ReplicaService.
   * <pre>
   * Shows the processes that share a database, for whoever runs them.
   * </pre>
   */
  public static final class ReplicaServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<ReplicaServiceBlockingStub> {
    private ReplicaServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReplicaServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReplicaServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * All replicas, by name. Over SQLite: the one that answers. Needs `admin`.
     * </pre>
     */
    public dev.portcullis.v1.ListReplicasResponse listReplicas(dev.portcullis.v1.ListReplicasRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListReplicasMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service ReplicaService.
   * <pre>
   * Shows the processes that share a database, for whoever runs them.
   * </pre>
   */
  public static final class ReplicaServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<ReplicaServiceFutureStub> {
    private ReplicaServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ReplicaServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ReplicaServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * All replicas, by name. Over SQLite: the one that answers. Needs `admin`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.ListReplicasResponse> listReplicas(
        dev.portcullis.v1.ListReplicasRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListReplicasMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_LIST_REPLICAS = 0;

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
        case METHODID_LIST_REPLICAS:
          serviceImpl.listReplicas((dev.portcullis.v1.ListReplicasRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.ListReplicasResponse>) responseObserver);
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
        default:
          throw new AssertionError();
      }
    }
  }

  public static final io.grpc.ServerServiceDefinition bindService(AsyncService service) {
    return io.grpc.ServerServiceDefinition.builder(getServiceDescriptor())
        .addMethod(
          getListReplicasMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.ListReplicasRequest,
              dev.portcullis.v1.ListReplicasResponse>(
                service, METHODID_LIST_REPLICAS)))
        .build();
  }

  private static abstract class ReplicaServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    ReplicaServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.portcullis.v1.ReplicaServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("ReplicaService");
    }
  }

  private static final class ReplicaServiceFileDescriptorSupplier
      extends ReplicaServiceBaseDescriptorSupplier {
    ReplicaServiceFileDescriptorSupplier() {}
  }

  private static final class ReplicaServiceMethodDescriptorSupplier
      extends ReplicaServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    ReplicaServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (ReplicaServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new ReplicaServiceFileDescriptorSupplier())
              .addMethod(getListReplicasMethod())
              .build();
        }
      }
    }
    return result;
  }
}
