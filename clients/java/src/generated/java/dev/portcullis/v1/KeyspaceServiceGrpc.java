package dev.portcullis.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Makes, shows, changes and deletes keyspaces. `default` and `system` always exist; `system` holds the root keys and
 * needs `admin`.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class KeyspaceServiceGrpc {

  private KeyspaceServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "portcullis.v1.KeyspaceService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.CreateKeyspaceRequest,
      dev.portcullis.v1.CreateKeyspaceResponse> getCreateKeyspaceMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateKeyspace",
      requestType = dev.portcullis.v1.CreateKeyspaceRequest.class,
      responseType = dev.portcullis.v1.CreateKeyspaceResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.CreateKeyspaceRequest,
      dev.portcullis.v1.CreateKeyspaceResponse> getCreateKeyspaceMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.CreateKeyspaceRequest, dev.portcullis.v1.CreateKeyspaceResponse> getCreateKeyspaceMethod;
    if ((getCreateKeyspaceMethod = KeyspaceServiceGrpc.getCreateKeyspaceMethod) == null) {
      synchronized (KeyspaceServiceGrpc.class) {
        if ((getCreateKeyspaceMethod = KeyspaceServiceGrpc.getCreateKeyspaceMethod) == null) {
          KeyspaceServiceGrpc.getCreateKeyspaceMethod = getCreateKeyspaceMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.CreateKeyspaceRequest, dev.portcullis.v1.CreateKeyspaceResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateKeyspace"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.CreateKeyspaceRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.CreateKeyspaceResponse.getDefaultInstance()))
              .setSchemaDescriptor(new KeyspaceServiceMethodDescriptorSupplier("CreateKeyspace"))
              .build();
        }
      }
    }
    return getCreateKeyspaceMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.GetKeyspaceRequest,
      dev.portcullis.v1.GetKeyspaceResponse> getGetKeyspaceMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetKeyspace",
      requestType = dev.portcullis.v1.GetKeyspaceRequest.class,
      responseType = dev.portcullis.v1.GetKeyspaceResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.GetKeyspaceRequest,
      dev.portcullis.v1.GetKeyspaceResponse> getGetKeyspaceMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.GetKeyspaceRequest, dev.portcullis.v1.GetKeyspaceResponse> getGetKeyspaceMethod;
    if ((getGetKeyspaceMethod = KeyspaceServiceGrpc.getGetKeyspaceMethod) == null) {
      synchronized (KeyspaceServiceGrpc.class) {
        if ((getGetKeyspaceMethod = KeyspaceServiceGrpc.getGetKeyspaceMethod) == null) {
          KeyspaceServiceGrpc.getGetKeyspaceMethod = getGetKeyspaceMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.GetKeyspaceRequest, dev.portcullis.v1.GetKeyspaceResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetKeyspace"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.GetKeyspaceRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.GetKeyspaceResponse.getDefaultInstance()))
              .setSchemaDescriptor(new KeyspaceServiceMethodDescriptorSupplier("GetKeyspace"))
              .build();
        }
      }
    }
    return getGetKeyspaceMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.ListKeyspacesRequest,
      dev.portcullis.v1.ListKeyspacesResponse> getListKeyspacesMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListKeyspaces",
      requestType = dev.portcullis.v1.ListKeyspacesRequest.class,
      responseType = dev.portcullis.v1.ListKeyspacesResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.ListKeyspacesRequest,
      dev.portcullis.v1.ListKeyspacesResponse> getListKeyspacesMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.ListKeyspacesRequest, dev.portcullis.v1.ListKeyspacesResponse> getListKeyspacesMethod;
    if ((getListKeyspacesMethod = KeyspaceServiceGrpc.getListKeyspacesMethod) == null) {
      synchronized (KeyspaceServiceGrpc.class) {
        if ((getListKeyspacesMethod = KeyspaceServiceGrpc.getListKeyspacesMethod) == null) {
          KeyspaceServiceGrpc.getListKeyspacesMethod = getListKeyspacesMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.ListKeyspacesRequest, dev.portcullis.v1.ListKeyspacesResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListKeyspaces"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.ListKeyspacesRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.ListKeyspacesResponse.getDefaultInstance()))
              .setSchemaDescriptor(new KeyspaceServiceMethodDescriptorSupplier("ListKeyspaces"))
              .build();
        }
      }
    }
    return getListKeyspacesMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.UpdateKeyspaceRequest,
      dev.portcullis.v1.UpdateKeyspaceResponse> getUpdateKeyspaceMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "UpdateKeyspace",
      requestType = dev.portcullis.v1.UpdateKeyspaceRequest.class,
      responseType = dev.portcullis.v1.UpdateKeyspaceResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.UpdateKeyspaceRequest,
      dev.portcullis.v1.UpdateKeyspaceResponse> getUpdateKeyspaceMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.UpdateKeyspaceRequest, dev.portcullis.v1.UpdateKeyspaceResponse> getUpdateKeyspaceMethod;
    if ((getUpdateKeyspaceMethod = KeyspaceServiceGrpc.getUpdateKeyspaceMethod) == null) {
      synchronized (KeyspaceServiceGrpc.class) {
        if ((getUpdateKeyspaceMethod = KeyspaceServiceGrpc.getUpdateKeyspaceMethod) == null) {
          KeyspaceServiceGrpc.getUpdateKeyspaceMethod = getUpdateKeyspaceMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.UpdateKeyspaceRequest, dev.portcullis.v1.UpdateKeyspaceResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "UpdateKeyspace"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.UpdateKeyspaceRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.UpdateKeyspaceResponse.getDefaultInstance()))
              .setSchemaDescriptor(new KeyspaceServiceMethodDescriptorSupplier("UpdateKeyspace"))
              .build();
        }
      }
    }
    return getUpdateKeyspaceMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.DeleteKeyspaceRequest,
      dev.portcullis.v1.DeleteKeyspaceResponse> getDeleteKeyspaceMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeleteKeyspace",
      requestType = dev.portcullis.v1.DeleteKeyspaceRequest.class,
      responseType = dev.portcullis.v1.DeleteKeyspaceResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.DeleteKeyspaceRequest,
      dev.portcullis.v1.DeleteKeyspaceResponse> getDeleteKeyspaceMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.DeleteKeyspaceRequest, dev.portcullis.v1.DeleteKeyspaceResponse> getDeleteKeyspaceMethod;
    if ((getDeleteKeyspaceMethod = KeyspaceServiceGrpc.getDeleteKeyspaceMethod) == null) {
      synchronized (KeyspaceServiceGrpc.class) {
        if ((getDeleteKeyspaceMethod = KeyspaceServiceGrpc.getDeleteKeyspaceMethod) == null) {
          KeyspaceServiceGrpc.getDeleteKeyspaceMethod = getDeleteKeyspaceMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.DeleteKeyspaceRequest, dev.portcullis.v1.DeleteKeyspaceResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeleteKeyspace"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.DeleteKeyspaceRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.DeleteKeyspaceResponse.getDefaultInstance()))
              .setSchemaDescriptor(new KeyspaceServiceMethodDescriptorSupplier("DeleteKeyspace"))
              .build();
        }
      }
    }
    return getDeleteKeyspaceMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static KeyspaceServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<KeyspaceServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<KeyspaceServiceStub>() {
        @java.lang.Override
        public KeyspaceServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new KeyspaceServiceStub(channel, callOptions);
        }
      };
    return KeyspaceServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static KeyspaceServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<KeyspaceServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<KeyspaceServiceBlockingV2Stub>() {
        @java.lang.Override
        public KeyspaceServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new KeyspaceServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return KeyspaceServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static KeyspaceServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<KeyspaceServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<KeyspaceServiceBlockingStub>() {
        @java.lang.Override
        public KeyspaceServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new KeyspaceServiceBlockingStub(channel, callOptions);
        }
      };
    return KeyspaceServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static KeyspaceServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<KeyspaceServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<KeyspaceServiceFutureStub>() {
        @java.lang.Override
        public KeyspaceServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new KeyspaceServiceFutureStub(channel, callOptions);
        }
      };
    return KeyspaceServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Makes, shows, changes and deletes keyspaces. `default` and `system` always exist; `system` holds the root keys and
   * needs `admin`.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Makes a keyspace; ALREADY_EXISTS if there is one of that id. Needs `keyspaces:write`.
     * </pre>
     */
    default void createKeyspace(dev.portcullis.v1.CreateKeyspaceRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.CreateKeyspaceResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateKeyspaceMethod(), responseObserver);
    }

    /**
     * <pre>
     * One keyspace by its id. Needs `keyspaces:read`.
     * </pre>
     */
    default void getKeyspace(dev.portcullis.v1.GetKeyspaceRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.GetKeyspaceResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetKeyspaceMethod(), responseObserver);
    }

    /**
     * <pre>
     * The keyspaces that the caller may see, by id. Needs `keyspaces:read`.
     * </pre>
     */
    default void listKeyspaces(dev.portcullis.v1.ListKeyspacesRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.ListKeyspacesResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListKeyspacesMethod(), responseObserver);
    }

    /**
     * <pre>
     * Changes the fields named by the mask; ABORTED if an etag is given and stale. Needs `keyspaces:write`.
     * </pre>
     */
    default void updateKeyspace(dev.portcullis.v1.UpdateKeyspaceRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.UpdateKeyspaceResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getUpdateKeyspaceMethod(), responseObserver);
    }

    /**
     * <pre>
     * Deletes an empty keyspace; FAILED_PRECONDITION while it has keys, revoked ones included, and for `default` and
     * `system`. Ends the permissions of root keys that name it, each with an audit event. Needs `keyspaces:write`.
     * </pre>
     */
    default void deleteKeyspace(dev.portcullis.v1.DeleteKeyspaceRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.DeleteKeyspaceResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteKeyspaceMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service KeyspaceService.
   * <pre>
   * Makes, shows, changes and deletes keyspaces. `default` and `system` always exist; `system` holds the root keys and
   * needs `admin`.
   * </pre>
   */
  public static abstract class KeyspaceServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return KeyspaceServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service KeyspaceService.
   * <pre>
   * Makes, shows, changes and deletes keyspaces. `default` and `system` always exist; `system` holds the root keys and
   * needs `admin`.
   * </pre>
   */
  public static final class KeyspaceServiceStub
      extends io.grpc.stub.AbstractAsyncStub<KeyspaceServiceStub> {
    private KeyspaceServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected KeyspaceServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new KeyspaceServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Makes a keyspace; ALREADY_EXISTS if there is one of that id. Needs `keyspaces:write`.
     * </pre>
     */
    public void createKeyspace(dev.portcullis.v1.CreateKeyspaceRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.CreateKeyspaceResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateKeyspaceMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * One keyspace by its id. Needs `keyspaces:read`.
     * </pre>
     */
    public void getKeyspace(dev.portcullis.v1.GetKeyspaceRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.GetKeyspaceResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetKeyspaceMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * The keyspaces that the caller may see, by id. Needs `keyspaces:read`.
     * </pre>
     */
    public void listKeyspaces(dev.portcullis.v1.ListKeyspacesRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.ListKeyspacesResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListKeyspacesMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Changes the fields named by the mask; ABORTED if an etag is given and stale. Needs `keyspaces:write`.
     * </pre>
     */
    public void updateKeyspace(dev.portcullis.v1.UpdateKeyspaceRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.UpdateKeyspaceResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getUpdateKeyspaceMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Deletes an empty keyspace; FAILED_PRECONDITION while it has keys, revoked ones included, and for `default` and
     * `system`. Ends the permissions of root keys that name it, each with an audit event. Needs `keyspaces:write`.
     * </pre>
     */
    public void deleteKeyspace(dev.portcullis.v1.DeleteKeyspaceRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.DeleteKeyspaceResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteKeyspaceMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service KeyspaceService.
   * <pre>
   * Makes, shows, changes and deletes keyspaces. `default` and `system` always exist; `system` holds the root keys and
   * needs `admin`.
   * </pre>
   */
  public static final class KeyspaceServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<KeyspaceServiceBlockingV2Stub> {
    private KeyspaceServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected KeyspaceServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new KeyspaceServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Makes a keyspace; ALREADY_EXISTS if there is one of that id. Needs `keyspaces:write`.
     * </pre>
     */
    public dev.portcullis.v1.CreateKeyspaceResponse createKeyspace(dev.portcullis.v1.CreateKeyspaceRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateKeyspaceMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * One keyspace by its id. Needs `keyspaces:read`.
     * </pre>
     */
    public dev.portcullis.v1.GetKeyspaceResponse getKeyspace(dev.portcullis.v1.GetKeyspaceRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetKeyspaceMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The keyspaces that the caller may see, by id. Needs `keyspaces:read`.
     * </pre>
     */
    public dev.portcullis.v1.ListKeyspacesResponse listKeyspaces(dev.portcullis.v1.ListKeyspacesRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListKeyspacesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Changes the fields named by the mask; ABORTED if an etag is given and stale. Needs `keyspaces:write`.
     * </pre>
     */
    public dev.portcullis.v1.UpdateKeyspaceResponse updateKeyspace(dev.portcullis.v1.UpdateKeyspaceRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getUpdateKeyspaceMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Deletes an empty keyspace; FAILED_PRECONDITION while it has keys, revoked ones included, and for `default` and
     * `system`. Ends the permissions of root keys that name it, each with an audit event. Needs `keyspaces:write`.
     * </pre>
     */
    public dev.portcullis.v1.DeleteKeyspaceResponse deleteKeyspace(dev.portcullis.v1.DeleteKeyspaceRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteKeyspaceMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service KeyspaceService.
   * <pre>
   * Makes, shows, changes and deletes keyspaces. `default` and `system` always exist; `system` holds the root keys and
   * needs `admin`.
   * </pre>
   */
  public static final class KeyspaceServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<KeyspaceServiceBlockingStub> {
    private KeyspaceServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected KeyspaceServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new KeyspaceServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Makes a keyspace; ALREADY_EXISTS if there is one of that id. Needs `keyspaces:write`.
     * </pre>
     */
    public dev.portcullis.v1.CreateKeyspaceResponse createKeyspace(dev.portcullis.v1.CreateKeyspaceRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateKeyspaceMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * One keyspace by its id. Needs `keyspaces:read`.
     * </pre>
     */
    public dev.portcullis.v1.GetKeyspaceResponse getKeyspace(dev.portcullis.v1.GetKeyspaceRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetKeyspaceMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The keyspaces that the caller may see, by id. Needs `keyspaces:read`.
     * </pre>
     */
    public dev.portcullis.v1.ListKeyspacesResponse listKeyspaces(dev.portcullis.v1.ListKeyspacesRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListKeyspacesMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Changes the fields named by the mask; ABORTED if an etag is given and stale. Needs `keyspaces:write`.
     * </pre>
     */
    public dev.portcullis.v1.UpdateKeyspaceResponse updateKeyspace(dev.portcullis.v1.UpdateKeyspaceRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getUpdateKeyspaceMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Deletes an empty keyspace; FAILED_PRECONDITION while it has keys, revoked ones included, and for `default` and
     * `system`. Ends the permissions of root keys that name it, each with an audit event. Needs `keyspaces:write`.
     * </pre>
     */
    public dev.portcullis.v1.DeleteKeyspaceResponse deleteKeyspace(dev.portcullis.v1.DeleteKeyspaceRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteKeyspaceMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service KeyspaceService.
   * <pre>
   * Makes, shows, changes and deletes keyspaces. `default` and `system` always exist; `system` holds the root keys and
   * needs `admin`.
   * </pre>
   */
  public static final class KeyspaceServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<KeyspaceServiceFutureStub> {
    private KeyspaceServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected KeyspaceServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new KeyspaceServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Makes a keyspace; ALREADY_EXISTS if there is one of that id. Needs `keyspaces:write`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.CreateKeyspaceResponse> createKeyspace(
        dev.portcullis.v1.CreateKeyspaceRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateKeyspaceMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * One keyspace by its id. Needs `keyspaces:read`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.GetKeyspaceResponse> getKeyspace(
        dev.portcullis.v1.GetKeyspaceRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetKeyspaceMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * The keyspaces that the caller may see, by id. Needs `keyspaces:read`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.ListKeyspacesResponse> listKeyspaces(
        dev.portcullis.v1.ListKeyspacesRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListKeyspacesMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Changes the fields named by the mask; ABORTED if an etag is given and stale. Needs `keyspaces:write`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.UpdateKeyspaceResponse> updateKeyspace(
        dev.portcullis.v1.UpdateKeyspaceRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getUpdateKeyspaceMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Deletes an empty keyspace; FAILED_PRECONDITION while it has keys, revoked ones included, and for `default` and
     * `system`. Ends the permissions of root keys that name it, each with an audit event. Needs `keyspaces:write`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.DeleteKeyspaceResponse> deleteKeyspace(
        dev.portcullis.v1.DeleteKeyspaceRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteKeyspaceMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_KEYSPACE = 0;
  private static final int METHODID_GET_KEYSPACE = 1;
  private static final int METHODID_LIST_KEYSPACES = 2;
  private static final int METHODID_UPDATE_KEYSPACE = 3;
  private static final int METHODID_DELETE_KEYSPACE = 4;

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
        case METHODID_CREATE_KEYSPACE:
          serviceImpl.createKeyspace((dev.portcullis.v1.CreateKeyspaceRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.CreateKeyspaceResponse>) responseObserver);
          break;
        case METHODID_GET_KEYSPACE:
          serviceImpl.getKeyspace((dev.portcullis.v1.GetKeyspaceRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.GetKeyspaceResponse>) responseObserver);
          break;
        case METHODID_LIST_KEYSPACES:
          serviceImpl.listKeyspaces((dev.portcullis.v1.ListKeyspacesRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.ListKeyspacesResponse>) responseObserver);
          break;
        case METHODID_UPDATE_KEYSPACE:
          serviceImpl.updateKeyspace((dev.portcullis.v1.UpdateKeyspaceRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.UpdateKeyspaceResponse>) responseObserver);
          break;
        case METHODID_DELETE_KEYSPACE:
          serviceImpl.deleteKeyspace((dev.portcullis.v1.DeleteKeyspaceRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.DeleteKeyspaceResponse>) responseObserver);
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
          getCreateKeyspaceMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.CreateKeyspaceRequest,
              dev.portcullis.v1.CreateKeyspaceResponse>(
                service, METHODID_CREATE_KEYSPACE)))
        .addMethod(
          getGetKeyspaceMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.GetKeyspaceRequest,
              dev.portcullis.v1.GetKeyspaceResponse>(
                service, METHODID_GET_KEYSPACE)))
        .addMethod(
          getListKeyspacesMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.ListKeyspacesRequest,
              dev.portcullis.v1.ListKeyspacesResponse>(
                service, METHODID_LIST_KEYSPACES)))
        .addMethod(
          getUpdateKeyspaceMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.UpdateKeyspaceRequest,
              dev.portcullis.v1.UpdateKeyspaceResponse>(
                service, METHODID_UPDATE_KEYSPACE)))
        .addMethod(
          getDeleteKeyspaceMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.DeleteKeyspaceRequest,
              dev.portcullis.v1.DeleteKeyspaceResponse>(
                service, METHODID_DELETE_KEYSPACE)))
        .build();
  }

  private static abstract class KeyspaceServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    KeyspaceServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.portcullis.v1.KeyspaceServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("KeyspaceService");
    }
  }

  private static final class KeyspaceServiceFileDescriptorSupplier
      extends KeyspaceServiceBaseDescriptorSupplier {
    KeyspaceServiceFileDescriptorSupplier() {}
  }

  private static final class KeyspaceServiceMethodDescriptorSupplier
      extends KeyspaceServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    KeyspaceServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (KeyspaceServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new KeyspaceServiceFileDescriptorSupplier())
              .addMethod(getCreateKeyspaceMethod())
              .addMethod(getGetKeyspaceMethod())
              .addMethod(getListKeyspacesMethod())
              .addMethod(getUpdateKeyspaceMethod())
              .addMethod(getDeleteKeyspaceMethod())
              .build();
        }
      }
    }
    return result;
  }
}
