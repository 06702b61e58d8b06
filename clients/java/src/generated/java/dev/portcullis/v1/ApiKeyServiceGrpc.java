package dev.portcullis.v1;

import static io.grpc.MethodDescriptor.generateFullMethodName;

/**
 * <pre>
 * Issues, lists, changes, rotates, revokes and deletes API keys.
 * Every call carries `authorization: Bearer &lt;root key&gt;`. What is answered OK is durable, and every Verify that begins
 * afterwards, on any replica, goes by it. When that cannot be confirmed the answer is DEADLINE_EXCEEDED and the outcome
 * unknown: repeat the call, without an etag, until it answers OK, or NOT_FOUND to a deletion. A rotation that was not
 * confirmed may have been made, and its secret is lost: rotate again with end_overlap. To repeat add_credits adds again.
 * </pre>
 */
@io.grpc.stub.annotations.GrpcGenerated
public final class ApiKeyServiceGrpc {

  private ApiKeyServiceGrpc() {}

  public static final java.lang.String SERVICE_NAME = "portcullis.v1.ApiKeyService";

  // Static method descriptors that strictly reflect the proto.
  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.CreateApiKeyRequest,
      dev.portcullis.v1.CreateApiKeyResponse> getCreateApiKeyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "CreateApiKey",
      requestType = dev.portcullis.v1.CreateApiKeyRequest.class,
      responseType = dev.portcullis.v1.CreateApiKeyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.CreateApiKeyRequest,
      dev.portcullis.v1.CreateApiKeyResponse> getCreateApiKeyMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.CreateApiKeyRequest, dev.portcullis.v1.CreateApiKeyResponse> getCreateApiKeyMethod;
    if ((getCreateApiKeyMethod = ApiKeyServiceGrpc.getCreateApiKeyMethod) == null) {
      synchronized (ApiKeyServiceGrpc.class) {
        if ((getCreateApiKeyMethod = ApiKeyServiceGrpc.getCreateApiKeyMethod) == null) {
          ApiKeyServiceGrpc.getCreateApiKeyMethod = getCreateApiKeyMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.CreateApiKeyRequest, dev.portcullis.v1.CreateApiKeyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "CreateApiKey"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.CreateApiKeyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.CreateApiKeyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ApiKeyServiceMethodDescriptorSupplier("CreateApiKey"))
              .build();
        }
      }
    }
    return getCreateApiKeyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.ImportApiKeysRequest,
      dev.portcullis.v1.ImportApiKeysResponse> getImportApiKeysMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ImportApiKeys",
      requestType = dev.portcullis.v1.ImportApiKeysRequest.class,
      responseType = dev.portcullis.v1.ImportApiKeysResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.ImportApiKeysRequest,
      dev.portcullis.v1.ImportApiKeysResponse> getImportApiKeysMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.ImportApiKeysRequest, dev.portcullis.v1.ImportApiKeysResponse> getImportApiKeysMethod;
    if ((getImportApiKeysMethod = ApiKeyServiceGrpc.getImportApiKeysMethod) == null) {
      synchronized (ApiKeyServiceGrpc.class) {
        if ((getImportApiKeysMethod = ApiKeyServiceGrpc.getImportApiKeysMethod) == null) {
          ApiKeyServiceGrpc.getImportApiKeysMethod = getImportApiKeysMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.ImportApiKeysRequest, dev.portcullis.v1.ImportApiKeysResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ImportApiKeys"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.ImportApiKeysRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.ImportApiKeysResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ApiKeyServiceMethodDescriptorSupplier("ImportApiKeys"))
              .build();
        }
      }
    }
    return getImportApiKeysMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.GetApiKeyRequest,
      dev.portcullis.v1.GetApiKeyResponse> getGetApiKeyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "GetApiKey",
      requestType = dev.portcullis.v1.GetApiKeyRequest.class,
      responseType = dev.portcullis.v1.GetApiKeyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.GetApiKeyRequest,
      dev.portcullis.v1.GetApiKeyResponse> getGetApiKeyMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.GetApiKeyRequest, dev.portcullis.v1.GetApiKeyResponse> getGetApiKeyMethod;
    if ((getGetApiKeyMethod = ApiKeyServiceGrpc.getGetApiKeyMethod) == null) {
      synchronized (ApiKeyServiceGrpc.class) {
        if ((getGetApiKeyMethod = ApiKeyServiceGrpc.getGetApiKeyMethod) == null) {
          ApiKeyServiceGrpc.getGetApiKeyMethod = getGetApiKeyMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.GetApiKeyRequest, dev.portcullis.v1.GetApiKeyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "GetApiKey"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.GetApiKeyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.GetApiKeyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ApiKeyServiceMethodDescriptorSupplier("GetApiKey"))
              .build();
        }
      }
    }
    return getGetApiKeyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.ListApiKeysRequest,
      dev.portcullis.v1.ListApiKeysResponse> getListApiKeysMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "ListApiKeys",
      requestType = dev.portcullis.v1.ListApiKeysRequest.class,
      responseType = dev.portcullis.v1.ListApiKeysResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.ListApiKeysRequest,
      dev.portcullis.v1.ListApiKeysResponse> getListApiKeysMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.ListApiKeysRequest, dev.portcullis.v1.ListApiKeysResponse> getListApiKeysMethod;
    if ((getListApiKeysMethod = ApiKeyServiceGrpc.getListApiKeysMethod) == null) {
      synchronized (ApiKeyServiceGrpc.class) {
        if ((getListApiKeysMethod = ApiKeyServiceGrpc.getListApiKeysMethod) == null) {
          ApiKeyServiceGrpc.getListApiKeysMethod = getListApiKeysMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.ListApiKeysRequest, dev.portcullis.v1.ListApiKeysResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "ListApiKeys"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.ListApiKeysRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.ListApiKeysResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ApiKeyServiceMethodDescriptorSupplier("ListApiKeys"))
              .build();
        }
      }
    }
    return getListApiKeysMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.UpdateApiKeyRequest,
      dev.portcullis.v1.UpdateApiKeyResponse> getUpdateApiKeyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "UpdateApiKey",
      requestType = dev.portcullis.v1.UpdateApiKeyRequest.class,
      responseType = dev.portcullis.v1.UpdateApiKeyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.UpdateApiKeyRequest,
      dev.portcullis.v1.UpdateApiKeyResponse> getUpdateApiKeyMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.UpdateApiKeyRequest, dev.portcullis.v1.UpdateApiKeyResponse> getUpdateApiKeyMethod;
    if ((getUpdateApiKeyMethod = ApiKeyServiceGrpc.getUpdateApiKeyMethod) == null) {
      synchronized (ApiKeyServiceGrpc.class) {
        if ((getUpdateApiKeyMethod = ApiKeyServiceGrpc.getUpdateApiKeyMethod) == null) {
          ApiKeyServiceGrpc.getUpdateApiKeyMethod = getUpdateApiKeyMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.UpdateApiKeyRequest, dev.portcullis.v1.UpdateApiKeyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "UpdateApiKey"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.UpdateApiKeyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.UpdateApiKeyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ApiKeyServiceMethodDescriptorSupplier("UpdateApiKey"))
              .build();
        }
      }
    }
    return getUpdateApiKeyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.RotateApiKeyRequest,
      dev.portcullis.v1.RotateApiKeyResponse> getRotateApiKeyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RotateApiKey",
      requestType = dev.portcullis.v1.RotateApiKeyRequest.class,
      responseType = dev.portcullis.v1.RotateApiKeyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.RotateApiKeyRequest,
      dev.portcullis.v1.RotateApiKeyResponse> getRotateApiKeyMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.RotateApiKeyRequest, dev.portcullis.v1.RotateApiKeyResponse> getRotateApiKeyMethod;
    if ((getRotateApiKeyMethod = ApiKeyServiceGrpc.getRotateApiKeyMethod) == null) {
      synchronized (ApiKeyServiceGrpc.class) {
        if ((getRotateApiKeyMethod = ApiKeyServiceGrpc.getRotateApiKeyMethod) == null) {
          ApiKeyServiceGrpc.getRotateApiKeyMethod = getRotateApiKeyMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.RotateApiKeyRequest, dev.portcullis.v1.RotateApiKeyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RotateApiKey"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.RotateApiKeyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.RotateApiKeyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ApiKeyServiceMethodDescriptorSupplier("RotateApiKey"))
              .build();
        }
      }
    }
    return getRotateApiKeyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.RevokeApiKeyRequest,
      dev.portcullis.v1.RevokeApiKeyResponse> getRevokeApiKeyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "RevokeApiKey",
      requestType = dev.portcullis.v1.RevokeApiKeyRequest.class,
      responseType = dev.portcullis.v1.RevokeApiKeyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.RevokeApiKeyRequest,
      dev.portcullis.v1.RevokeApiKeyResponse> getRevokeApiKeyMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.RevokeApiKeyRequest, dev.portcullis.v1.RevokeApiKeyResponse> getRevokeApiKeyMethod;
    if ((getRevokeApiKeyMethod = ApiKeyServiceGrpc.getRevokeApiKeyMethod) == null) {
      synchronized (ApiKeyServiceGrpc.class) {
        if ((getRevokeApiKeyMethod = ApiKeyServiceGrpc.getRevokeApiKeyMethod) == null) {
          ApiKeyServiceGrpc.getRevokeApiKeyMethod = getRevokeApiKeyMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.RevokeApiKeyRequest, dev.portcullis.v1.RevokeApiKeyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "RevokeApiKey"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.RevokeApiKeyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.RevokeApiKeyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ApiKeyServiceMethodDescriptorSupplier("RevokeApiKey"))
              .build();
        }
      }
    }
    return getRevokeApiKeyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.DeleteApiKeyRequest,
      dev.portcullis.v1.DeleteApiKeyResponse> getDeleteApiKeyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "DeleteApiKey",
      requestType = dev.portcullis.v1.DeleteApiKeyRequest.class,
      responseType = dev.portcullis.v1.DeleteApiKeyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.DeleteApiKeyRequest,
      dev.portcullis.v1.DeleteApiKeyResponse> getDeleteApiKeyMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.DeleteApiKeyRequest, dev.portcullis.v1.DeleteApiKeyResponse> getDeleteApiKeyMethod;
    if ((getDeleteApiKeyMethod = ApiKeyServiceGrpc.getDeleteApiKeyMethod) == null) {
      synchronized (ApiKeyServiceGrpc.class) {
        if ((getDeleteApiKeyMethod = ApiKeyServiceGrpc.getDeleteApiKeyMethod) == null) {
          ApiKeyServiceGrpc.getDeleteApiKeyMethod = getDeleteApiKeyMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.DeleteApiKeyRequest, dev.portcullis.v1.DeleteApiKeyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "DeleteApiKey"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.DeleteApiKeyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.DeleteApiKeyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ApiKeyServiceMethodDescriptorSupplier("DeleteApiKey"))
              .build();
        }
      }
    }
    return getDeleteApiKeyMethod;
  }

  private static volatile io.grpc.MethodDescriptor<dev.portcullis.v1.VerifyApiKeyRequest,
      dev.portcullis.v1.VerifyApiKeyResponse> getVerifyApiKeyMethod;

  @io.grpc.stub.annotations.RpcMethod(
      fullMethodName = SERVICE_NAME + '/' + "VerifyApiKey",
      requestType = dev.portcullis.v1.VerifyApiKeyRequest.class,
      responseType = dev.portcullis.v1.VerifyApiKeyResponse.class,
      methodType = io.grpc.MethodDescriptor.MethodType.UNARY)
  public static io.grpc.MethodDescriptor<dev.portcullis.v1.VerifyApiKeyRequest,
      dev.portcullis.v1.VerifyApiKeyResponse> getVerifyApiKeyMethod() {
    io.grpc.MethodDescriptor<dev.portcullis.v1.VerifyApiKeyRequest, dev.portcullis.v1.VerifyApiKeyResponse> getVerifyApiKeyMethod;
    if ((getVerifyApiKeyMethod = ApiKeyServiceGrpc.getVerifyApiKeyMethod) == null) {
      synchronized (ApiKeyServiceGrpc.class) {
        if ((getVerifyApiKeyMethod = ApiKeyServiceGrpc.getVerifyApiKeyMethod) == null) {
          ApiKeyServiceGrpc.getVerifyApiKeyMethod = getVerifyApiKeyMethod =
              io.grpc.MethodDescriptor.<dev.portcullis.v1.VerifyApiKeyRequest, dev.portcullis.v1.VerifyApiKeyResponse>newBuilder()
              .setType(io.grpc.MethodDescriptor.MethodType.UNARY)
              .setFullMethodName(generateFullMethodName(SERVICE_NAME, "VerifyApiKey"))
              .setSampledToLocalTracing(true)
              .setRequestMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.VerifyApiKeyRequest.getDefaultInstance()))
              .setResponseMarshaller(io.grpc.protobuf.ProtoUtils.marshaller(
                  dev.portcullis.v1.VerifyApiKeyResponse.getDefaultInstance()))
              .setSchemaDescriptor(new ApiKeyServiceMethodDescriptorSupplier("VerifyApiKey"))
              .build();
        }
      }
    }
    return getVerifyApiKeyMethod;
  }

  /**
   * Creates a new async stub that supports all call types for the service
   */
  public static ApiKeyServiceStub newStub(io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ApiKeyServiceStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ApiKeyServiceStub>() {
        @java.lang.Override
        public ApiKeyServiceStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ApiKeyServiceStub(channel, callOptions);
        }
      };
    return ApiKeyServiceStub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports all types of calls on the service
   */
  public static ApiKeyServiceBlockingV2Stub newBlockingV2Stub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ApiKeyServiceBlockingV2Stub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ApiKeyServiceBlockingV2Stub>() {
        @java.lang.Override
        public ApiKeyServiceBlockingV2Stub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ApiKeyServiceBlockingV2Stub(channel, callOptions);
        }
      };
    return ApiKeyServiceBlockingV2Stub.newStub(factory, channel);
  }

  /**
   * Creates a new blocking-style stub that supports unary and streaming output calls on the service
   */
  public static ApiKeyServiceBlockingStub newBlockingStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ApiKeyServiceBlockingStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ApiKeyServiceBlockingStub>() {
        @java.lang.Override
        public ApiKeyServiceBlockingStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ApiKeyServiceBlockingStub(channel, callOptions);
        }
      };
    return ApiKeyServiceBlockingStub.newStub(factory, channel);
  }

  /**
   * Creates a new ListenableFuture-style stub that supports unary calls on the service
   */
  public static ApiKeyServiceFutureStub newFutureStub(
      io.grpc.Channel channel) {
    io.grpc.stub.AbstractStub.StubFactory<ApiKeyServiceFutureStub> factory =
      new io.grpc.stub.AbstractStub.StubFactory<ApiKeyServiceFutureStub>() {
        @java.lang.Override
        public ApiKeyServiceFutureStub newStub(io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
          return new ApiKeyServiceFutureStub(channel, callOptions);
        }
      };
    return ApiKeyServiceFutureStub.newStub(factory, channel);
  }

  /**
   * <pre>
   * Issues, lists, changes, rotates, revokes and deletes API keys.
   * Every call carries `authorization: Bearer &lt;root key&gt;`. What is answered OK is durable, and every Verify that begins
   * afterwards, on any replica, goes by it. When that cannot be confirmed the answer is DEADLINE_EXCEEDED and the outcome
   * unknown: repeat the call, without an etag, until it answers OK, or NOT_FOUND to a deletion. A rotation that was not
   * confirmed may have been made, and its secret is lost: rotate again with end_overlap. To repeat add_credits adds again.
   * </pre>
   */
  public interface AsyncService {

    /**
     * <pre>
     * Issues a key. The secret is in this answer and nowhere else, ever. Needs `keys:write`.
     * </pre>
     */
    default void createApiKey(dev.portcullis.v1.CreateApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.CreateApiKeyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getCreateApiKeyMethod(), responseObserver);
    }

    /**
     * <pre>
     * Takes in keys whose secrets another system made. Each entry is answered on its own; those that are good are made
     * together. An entry whose secret is a key's already is answered ALREADY_EXISTS and changes nothing, so that an import
     * can be repeated. Into `system` nothing is imported. Needs `keys:write`.
     * </pre>
     */
    default void importApiKeys(dev.portcullis.v1.ImportApiKeysRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.ImportApiKeysResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getImportApiKeysMethod(), responseObserver);
    }

    /**
     * <pre>
     * One key by its id; NOT_FOUND if there is none that the caller may see. Needs `keys:read`.
     * </pre>
     */
    default void getApiKey(dev.portcullis.v1.GetApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.GetApiKeyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getGetApiKeyMethod(), responseObserver);
    }

    /**
     * <pre>
     * The keys of a keyspace, newest first; by default only those that verify. Needs `keys:read`.
     * </pre>
     */
    default void listApiKeys(dev.portcullis.v1.ListApiKeysRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.ListApiKeysResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getListApiKeysMethod(), responseObserver);
    }

    /**
     * <pre>
     * Changes the fields named by the mask; ABORTED if an etag is given and stale. Needs `keys:write`.
     * </pre>
     */
    default void updateApiKey(dev.portcullis.v1.UpdateApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.UpdateApiKeyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getUpdateApiKeyMethod(), responseObserver);
    }

    /**
     * <pre>
     * Gives the key a new secret under the same id; the old one goes on working for `overlap`. FAILED_PRECONDITION
     * for a revoked or expired key, and while an older secret works, unless end_overlap is set. Needs `keys:write`.
     * </pre>
     */
    default void rotateApiKey(dev.portcullis.v1.RotateApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.RotateApiKeyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRotateApiKeyMethod(), responseObserver);
    }

    /**
     * <pre>
     * Ends a key for good. Once this answers OK, no Verify that begins afterwards accepts the key, on any replica. Revoking
     * it again succeeds, changes nothing and promises the same. Needs `keys:revoke`.
     * </pre>
     */
    default void revokeApiKey(dev.portcullis.v1.RevokeApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.RevokeApiKeyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getRevokeApiKeyMethod(), responseObserver);
    }

    /**
     * <pre>
     * Removes a key and its history of use; the audit trail keeps that it was. Needs `keys:revoke`.
     * </pre>
     */
    default void deleteApiKey(dev.portcullis.v1.DeleteApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.DeleteApiKeyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getDeleteApiKeyMethod(), responseObserver);
    }

    /**
     * <pre>
     * Verifies a presented key by reading the store, and shows the whole key: for incidents and audits. For every
     * request that your API receives, call VerificationService.Verify. Needs `keys:verify`.
     * </pre>
     */
    default void verifyApiKey(dev.portcullis.v1.VerifyApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.VerifyApiKeyResponse> responseObserver) {
      io.grpc.stub.ServerCalls.asyncUnimplementedUnaryCall(getVerifyApiKeyMethod(), responseObserver);
    }
  }

  /**
   * Base class for the server implementation of the service ApiKeyService.
   * <pre>
   * Issues, lists, changes, rotates, revokes and deletes API keys.
   * Every call carries `authorization: Bearer &lt;root key&gt;`. What is answered OK is durable, and every Verify that begins
   * afterwards, on any replica, goes by it. When that cannot be confirmed the answer is DEADLINE_EXCEEDED and the outcome
   * unknown: repeat the call, without an etag, until it answers OK, or NOT_FOUND to a deletion. A rotation that was not
   * confirmed may have been made, and its secret is lost: rotate again with end_overlap. To repeat add_credits adds again.
   * </pre>
   */
  public static abstract class ApiKeyServiceImplBase
      implements io.grpc.BindableService, AsyncService {

    @java.lang.Override public final io.grpc.ServerServiceDefinition bindService() {
      return ApiKeyServiceGrpc.bindService(this);
    }
  }

  /**
   * A stub to allow clients to do asynchronous rpc calls to service ApiKeyService.
   * <pre>
   * Issues, lists, changes, rotates, revokes and deletes API keys.
   * Every call carries `authorization: Bearer &lt;root key&gt;`. What is answered OK is durable, and every Verify that begins
   * afterwards, on any replica, goes by it. When that cannot be confirmed the answer is DEADLINE_EXCEEDED and the outcome
   * unknown: repeat the call, without an etag, until it answers OK, or NOT_FOUND to a deletion. A rotation that was not
   * confirmed may have been made, and its secret is lost: rotate again with end_overlap. To repeat add_credits adds again.
   * </pre>
   */
  public static final class ApiKeyServiceStub
      extends io.grpc.stub.AbstractAsyncStub<ApiKeyServiceStub> {
    private ApiKeyServiceStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ApiKeyServiceStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ApiKeyServiceStub(channel, callOptions);
    }

    /**
     * <pre>
     * Issues a key. The secret is in this answer and nowhere else, ever. Needs `keys:write`.
     * </pre>
     */
    public void createApiKey(dev.portcullis.v1.CreateApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.CreateApiKeyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getCreateApiKeyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Takes in keys whose secrets another system made. Each entry is answered on its own; those that are good are made
     * together. An entry whose secret is a key's already is answered ALREADY_EXISTS and changes nothing, so that an import
     * can be repeated. Into `system` nothing is imported. Needs `keys:write`.
     * </pre>
     */
    public void importApiKeys(dev.portcullis.v1.ImportApiKeysRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.ImportApiKeysResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getImportApiKeysMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * One key by its id; NOT_FOUND if there is none that the caller may see. Needs `keys:read`.
     * </pre>
     */
    public void getApiKey(dev.portcullis.v1.GetApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.GetApiKeyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getGetApiKeyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * The keys of a keyspace, newest first; by default only those that verify. Needs `keys:read`.
     * </pre>
     */
    public void listApiKeys(dev.portcullis.v1.ListApiKeysRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.ListApiKeysResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getListApiKeysMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Changes the fields named by the mask; ABORTED if an etag is given and stale. Needs `keys:write`.
     * </pre>
     */
    public void updateApiKey(dev.portcullis.v1.UpdateApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.UpdateApiKeyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getUpdateApiKeyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Gives the key a new secret under the same id; the old one goes on working for `overlap`. FAILED_PRECONDITION
     * for a revoked or expired key, and while an older secret works, unless end_overlap is set. Needs `keys:write`.
     * </pre>
     */
    public void rotateApiKey(dev.portcullis.v1.RotateApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.RotateApiKeyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRotateApiKeyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Ends a key for good. Once this answers OK, no Verify that begins afterwards accepts the key, on any replica. Revoking
     * it again succeeds, changes nothing and promises the same. Needs `keys:revoke`.
     * </pre>
     */
    public void revokeApiKey(dev.portcullis.v1.RevokeApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.RevokeApiKeyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getRevokeApiKeyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Removes a key and its history of use; the audit trail keeps that it was. Needs `keys:revoke`.
     * </pre>
     */
    public void deleteApiKey(dev.portcullis.v1.DeleteApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.DeleteApiKeyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getDeleteApiKeyMethod(), getCallOptions()), request, responseObserver);
    }

    /**
     * <pre>
     * Verifies a presented key by reading the store, and shows the whole key: for incidents and audits. For every
     * request that your API receives, call VerificationService.Verify. Needs `keys:verify`.
     * </pre>
     */
    public void verifyApiKey(dev.portcullis.v1.VerifyApiKeyRequest request,
        io.grpc.stub.StreamObserver<dev.portcullis.v1.VerifyApiKeyResponse> responseObserver) {
      io.grpc.stub.ClientCalls.asyncUnaryCall(
          getChannel().newCall(getVerifyApiKeyMethod(), getCallOptions()), request, responseObserver);
    }
  }

  /**
   * A stub to allow clients to do synchronous rpc calls to service ApiKeyService.
   * <pre>
   * Issues, lists, changes, rotates, revokes and deletes API keys.
   * Every call carries `authorization: Bearer &lt;root key&gt;`. What is answered OK is durable, and every Verify that begins
   * afterwards, on any replica, goes by it. When that cannot be confirmed the answer is DEADLINE_EXCEEDED and the outcome
   * unknown: repeat the call, without an etag, until it answers OK, or NOT_FOUND to a deletion. A rotation that was not
   * confirmed may have been made, and its secret is lost: rotate again with end_overlap. To repeat add_credits adds again.
   * </pre>
   */
  public static final class ApiKeyServiceBlockingV2Stub
      extends io.grpc.stub.AbstractBlockingStub<ApiKeyServiceBlockingV2Stub> {
    private ApiKeyServiceBlockingV2Stub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ApiKeyServiceBlockingV2Stub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ApiKeyServiceBlockingV2Stub(channel, callOptions);
    }

    /**
     * <pre>
     * Issues a key. The secret is in this answer and nowhere else, ever. Needs `keys:write`.
     * </pre>
     */
    public dev.portcullis.v1.CreateApiKeyResponse createApiKey(dev.portcullis.v1.CreateApiKeyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getCreateApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Takes in keys whose secrets another system made. Each entry is answered on its own; those that are good are made
     * together. An entry whose secret is a key's already is answered ALREADY_EXISTS and changes nothing, so that an import
     * can be repeated. Into `system` nothing is imported. Needs `keys:write`.
     * </pre>
     */
    public dev.portcullis.v1.ImportApiKeysResponse importApiKeys(dev.portcullis.v1.ImportApiKeysRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getImportApiKeysMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * One key by its id; NOT_FOUND if there is none that the caller may see. Needs `keys:read`.
     * </pre>
     */
    public dev.portcullis.v1.GetApiKeyResponse getApiKey(dev.portcullis.v1.GetApiKeyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getGetApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The keys of a keyspace, newest first; by default only those that verify. Needs `keys:read`.
     * </pre>
     */
    public dev.portcullis.v1.ListApiKeysResponse listApiKeys(dev.portcullis.v1.ListApiKeysRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getListApiKeysMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Changes the fields named by the mask; ABORTED if an etag is given and stale. Needs `keys:write`.
     * </pre>
     */
    public dev.portcullis.v1.UpdateApiKeyResponse updateApiKey(dev.portcullis.v1.UpdateApiKeyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getUpdateApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Gives the key a new secret under the same id; the old one goes on working for `overlap`. FAILED_PRECONDITION
     * for a revoked or expired key, and while an older secret works, unless end_overlap is set. Needs `keys:write`.
     * </pre>
     */
    public dev.portcullis.v1.RotateApiKeyResponse rotateApiKey(dev.portcullis.v1.RotateApiKeyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRotateApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends a key for good. Once this answers OK, no Verify that begins afterwards accepts the key, on any replica. Revoking
     * it again succeeds, changes nothing and promises the same. Needs `keys:revoke`.
     * </pre>
     */
    public dev.portcullis.v1.RevokeApiKeyResponse revokeApiKey(dev.portcullis.v1.RevokeApiKeyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getRevokeApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Removes a key and its history of use; the audit trail keeps that it was. Needs `keys:revoke`.
     * </pre>
     */
    public dev.portcullis.v1.DeleteApiKeyResponse deleteApiKey(dev.portcullis.v1.DeleteApiKeyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getDeleteApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Verifies a presented key by reading the store, and shows the whole key: for incidents and audits. For every
     * request that your API receives, call VerificationService.Verify. Needs `keys:verify`.
     * </pre>
     */
    public dev.portcullis.v1.VerifyApiKeyResponse verifyApiKey(dev.portcullis.v1.VerifyApiKeyRequest request) throws io.grpc.StatusException {
      return io.grpc.stub.ClientCalls.blockingV2UnaryCall(
          getChannel(), getVerifyApiKeyMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do limited synchronous rpc calls to service ApiKeyService.
   * <pre>
   * Issues, lists, changes, rotates, revokes and deletes API keys.
   * Every call carries `authorization: Bearer &lt;root key&gt;`. What is answered OK is durable, and every Verify that begins
   * afterwards, on any replica, goes by it. When that cannot be confirmed the answer is DEADLINE_EXCEEDED and the outcome
   * unknown: repeat the call, without an etag, until it answers OK, or NOT_FOUND to a deletion. A rotation that was not
   * confirmed may have been made, and its secret is lost: rotate again with end_overlap. To repeat add_credits adds again.
   * </pre>
   */
  public static final class ApiKeyServiceBlockingStub
      extends io.grpc.stub.AbstractBlockingStub<ApiKeyServiceBlockingStub> {
    private ApiKeyServiceBlockingStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ApiKeyServiceBlockingStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ApiKeyServiceBlockingStub(channel, callOptions);
    }

    /**
     * <pre>
     * Issues a key. The secret is in this answer and nowhere else, ever. Needs `keys:write`.
     * </pre>
     */
    public dev.portcullis.v1.CreateApiKeyResponse createApiKey(dev.portcullis.v1.CreateApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getCreateApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Takes in keys whose secrets another system made. Each entry is answered on its own; those that are good are made
     * together. An entry whose secret is a key's already is answered ALREADY_EXISTS and changes nothing, so that an import
     * can be repeated. Into `system` nothing is imported. Needs `keys:write`.
     * </pre>
     */
    public dev.portcullis.v1.ImportApiKeysResponse importApiKeys(dev.portcullis.v1.ImportApiKeysRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getImportApiKeysMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * One key by its id; NOT_FOUND if there is none that the caller may see. Needs `keys:read`.
     * </pre>
     */
    public dev.portcullis.v1.GetApiKeyResponse getApiKey(dev.portcullis.v1.GetApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getGetApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * The keys of a keyspace, newest first; by default only those that verify. Needs `keys:read`.
     * </pre>
     */
    public dev.portcullis.v1.ListApiKeysResponse listApiKeys(dev.portcullis.v1.ListApiKeysRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getListApiKeysMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Changes the fields named by the mask; ABORTED if an etag is given and stale. Needs `keys:write`.
     * </pre>
     */
    public dev.portcullis.v1.UpdateApiKeyResponse updateApiKey(dev.portcullis.v1.UpdateApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getUpdateApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Gives the key a new secret under the same id; the old one goes on working for `overlap`. FAILED_PRECONDITION
     * for a revoked or expired key, and while an older secret works, unless end_overlap is set. Needs `keys:write`.
     * </pre>
     */
    public dev.portcullis.v1.RotateApiKeyResponse rotateApiKey(dev.portcullis.v1.RotateApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRotateApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Ends a key for good. Once this answers OK, no Verify that begins afterwards accepts the key, on any replica. Revoking
     * it again succeeds, changes nothing and promises the same. Needs `keys:revoke`.
     * </pre>
     */
    public dev.portcullis.v1.RevokeApiKeyResponse revokeApiKey(dev.portcullis.v1.RevokeApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getRevokeApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Removes a key and its history of use; the audit trail keeps that it was. Needs `keys:revoke`.
     * </pre>
     */
    public dev.portcullis.v1.DeleteApiKeyResponse deleteApiKey(dev.portcullis.v1.DeleteApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getDeleteApiKeyMethod(), getCallOptions(), request);
    }

    /**
     * <pre>
     * Verifies a presented key by reading the store, and shows the whole key: for incidents and audits. For every
     * request that your API receives, call VerificationService.Verify. Needs `keys:verify`.
     * </pre>
     */
    public dev.portcullis.v1.VerifyApiKeyResponse verifyApiKey(dev.portcullis.v1.VerifyApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.blockingUnaryCall(
          getChannel(), getVerifyApiKeyMethod(), getCallOptions(), request);
    }
  }

  /**
   * A stub to allow clients to do ListenableFuture-style rpc calls to service ApiKeyService.
   * <pre>
   * Issues, lists, changes, rotates, revokes and deletes API keys.
   * Every call carries `authorization: Bearer &lt;root key&gt;`. What is answered OK is durable, and every Verify that begins
   * afterwards, on any replica, goes by it. When that cannot be confirmed the answer is DEADLINE_EXCEEDED and the outcome
   * unknown: repeat the call, without an etag, until it answers OK, or NOT_FOUND to a deletion. A rotation that was not
   * confirmed may have been made, and its secret is lost: rotate again with end_overlap. To repeat add_credits adds again.
   * </pre>
   */
  public static final class ApiKeyServiceFutureStub
      extends io.grpc.stub.AbstractFutureStub<ApiKeyServiceFutureStub> {
    private ApiKeyServiceFutureStub(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      super(channel, callOptions);
    }

    @java.lang.Override
    protected ApiKeyServiceFutureStub build(
        io.grpc.Channel channel, io.grpc.CallOptions callOptions) {
      return new ApiKeyServiceFutureStub(channel, callOptions);
    }

    /**
     * <pre>
     * Issues a key. The secret is in this answer and nowhere else, ever. Needs `keys:write`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.CreateApiKeyResponse> createApiKey(
        dev.portcullis.v1.CreateApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getCreateApiKeyMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Takes in keys whose secrets another system made. Each entry is answered on its own; those that are good are made
     * together. An entry whose secret is a key's already is answered ALREADY_EXISTS and changes nothing, so that an import
     * can be repeated. Into `system` nothing is imported. Needs `keys:write`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.ImportApiKeysResponse> importApiKeys(
        dev.portcullis.v1.ImportApiKeysRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getImportApiKeysMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * One key by its id; NOT_FOUND if there is none that the caller may see. Needs `keys:read`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.GetApiKeyResponse> getApiKey(
        dev.portcullis.v1.GetApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getGetApiKeyMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * The keys of a keyspace, newest first; by default only those that verify. Needs `keys:read`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.ListApiKeysResponse> listApiKeys(
        dev.portcullis.v1.ListApiKeysRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getListApiKeysMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Changes the fields named by the mask; ABORTED if an etag is given and stale. Needs `keys:write`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.UpdateApiKeyResponse> updateApiKey(
        dev.portcullis.v1.UpdateApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getUpdateApiKeyMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Gives the key a new secret under the same id; the old one goes on working for `overlap`. FAILED_PRECONDITION
     * for a revoked or expired key, and while an older secret works, unless end_overlap is set. Needs `keys:write`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.RotateApiKeyResponse> rotateApiKey(
        dev.portcullis.v1.RotateApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRotateApiKeyMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Ends a key for good. Once this answers OK, no Verify that begins afterwards accepts the key, on any replica. Revoking
     * it again succeeds, changes nothing and promises the same. Needs `keys:revoke`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.RevokeApiKeyResponse> revokeApiKey(
        dev.portcullis.v1.RevokeApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getRevokeApiKeyMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Removes a key and its history of use; the audit trail keeps that it was. Needs `keys:revoke`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.DeleteApiKeyResponse> deleteApiKey(
        dev.portcullis.v1.DeleteApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getDeleteApiKeyMethod(), getCallOptions()), request);
    }

    /**
     * <pre>
     * Verifies a presented key by reading the store, and shows the whole key: for incidents and audits. For every
     * request that your API receives, call VerificationService.Verify. Needs `keys:verify`.
     * </pre>
     */
    public com.google.common.util.concurrent.ListenableFuture<dev.portcullis.v1.VerifyApiKeyResponse> verifyApiKey(
        dev.portcullis.v1.VerifyApiKeyRequest request) {
      return io.grpc.stub.ClientCalls.futureUnaryCall(
          getChannel().newCall(getVerifyApiKeyMethod(), getCallOptions()), request);
    }
  }

  private static final int METHODID_CREATE_API_KEY = 0;
  private static final int METHODID_IMPORT_API_KEYS = 1;
  private static final int METHODID_GET_API_KEY = 2;
  private static final int METHODID_LIST_API_KEYS = 3;
  private static final int METHODID_UPDATE_API_KEY = 4;
  private static final int METHODID_ROTATE_API_KEY = 5;
  private static final int METHODID_REVOKE_API_KEY = 6;
  private static final int METHODID_DELETE_API_KEY = 7;
  private static final int METHODID_VERIFY_API_KEY = 8;

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
        case METHODID_CREATE_API_KEY:
          serviceImpl.createApiKey((dev.portcullis.v1.CreateApiKeyRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.CreateApiKeyResponse>) responseObserver);
          break;
        case METHODID_IMPORT_API_KEYS:
          serviceImpl.importApiKeys((dev.portcullis.v1.ImportApiKeysRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.ImportApiKeysResponse>) responseObserver);
          break;
        case METHODID_GET_API_KEY:
          serviceImpl.getApiKey((dev.portcullis.v1.GetApiKeyRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.GetApiKeyResponse>) responseObserver);
          break;
        case METHODID_LIST_API_KEYS:
          serviceImpl.listApiKeys((dev.portcullis.v1.ListApiKeysRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.ListApiKeysResponse>) responseObserver);
          break;
        case METHODID_UPDATE_API_KEY:
          serviceImpl.updateApiKey((dev.portcullis.v1.UpdateApiKeyRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.UpdateApiKeyResponse>) responseObserver);
          break;
        case METHODID_ROTATE_API_KEY:
          serviceImpl.rotateApiKey((dev.portcullis.v1.RotateApiKeyRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.RotateApiKeyResponse>) responseObserver);
          break;
        case METHODID_REVOKE_API_KEY:
          serviceImpl.revokeApiKey((dev.portcullis.v1.RevokeApiKeyRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.RevokeApiKeyResponse>) responseObserver);
          break;
        case METHODID_DELETE_API_KEY:
          serviceImpl.deleteApiKey((dev.portcullis.v1.DeleteApiKeyRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.DeleteApiKeyResponse>) responseObserver);
          break;
        case METHODID_VERIFY_API_KEY:
          serviceImpl.verifyApiKey((dev.portcullis.v1.VerifyApiKeyRequest) request,
              (io.grpc.stub.StreamObserver<dev.portcullis.v1.VerifyApiKeyResponse>) responseObserver);
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
          getCreateApiKeyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.CreateApiKeyRequest,
              dev.portcullis.v1.CreateApiKeyResponse>(
                service, METHODID_CREATE_API_KEY)))
        .addMethod(
          getImportApiKeysMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.ImportApiKeysRequest,
              dev.portcullis.v1.ImportApiKeysResponse>(
                service, METHODID_IMPORT_API_KEYS)))
        .addMethod(
          getGetApiKeyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.GetApiKeyRequest,
              dev.portcullis.v1.GetApiKeyResponse>(
                service, METHODID_GET_API_KEY)))
        .addMethod(
          getListApiKeysMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.ListApiKeysRequest,
              dev.portcullis.v1.ListApiKeysResponse>(
                service, METHODID_LIST_API_KEYS)))
        .addMethod(
          getUpdateApiKeyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.UpdateApiKeyRequest,
              dev.portcullis.v1.UpdateApiKeyResponse>(
                service, METHODID_UPDATE_API_KEY)))
        .addMethod(
          getRotateApiKeyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.RotateApiKeyRequest,
              dev.portcullis.v1.RotateApiKeyResponse>(
                service, METHODID_ROTATE_API_KEY)))
        .addMethod(
          getRevokeApiKeyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.RevokeApiKeyRequest,
              dev.portcullis.v1.RevokeApiKeyResponse>(
                service, METHODID_REVOKE_API_KEY)))
        .addMethod(
          getDeleteApiKeyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.DeleteApiKeyRequest,
              dev.portcullis.v1.DeleteApiKeyResponse>(
                service, METHODID_DELETE_API_KEY)))
        .addMethod(
          getVerifyApiKeyMethod(),
          io.grpc.stub.ServerCalls.asyncUnaryCall(
            new MethodHandlers<
              dev.portcullis.v1.VerifyApiKeyRequest,
              dev.portcullis.v1.VerifyApiKeyResponse>(
                service, METHODID_VERIFY_API_KEY)))
        .build();
  }

  private static abstract class ApiKeyServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoFileDescriptorSupplier, io.grpc.protobuf.ProtoServiceDescriptorSupplier {
    ApiKeyServiceBaseDescriptorSupplier() {}

    @java.lang.Override
    public com.google.protobuf.Descriptors.FileDescriptor getFileDescriptor() {
      return dev.portcullis.v1.ApiKeyServiceProto.getDescriptor();
    }

    @java.lang.Override
    public com.google.protobuf.Descriptors.ServiceDescriptor getServiceDescriptor() {
      return getFileDescriptor().findServiceByName("ApiKeyService");
    }
  }

  private static final class ApiKeyServiceFileDescriptorSupplier
      extends ApiKeyServiceBaseDescriptorSupplier {
    ApiKeyServiceFileDescriptorSupplier() {}
  }

  private static final class ApiKeyServiceMethodDescriptorSupplier
      extends ApiKeyServiceBaseDescriptorSupplier
      implements io.grpc.protobuf.ProtoMethodDescriptorSupplier {
    private final java.lang.String methodName;

    ApiKeyServiceMethodDescriptorSupplier(java.lang.String methodName) {
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
      synchronized (ApiKeyServiceGrpc.class) {
        result = serviceDescriptor;
        if (result == null) {
          serviceDescriptor = result = io.grpc.ServiceDescriptor.newBuilder(SERVICE_NAME)
              .setSchemaDescriptor(new ApiKeyServiceFileDescriptorSupplier())
              .addMethod(getCreateApiKeyMethod())
              .addMethod(getImportApiKeysMethod())
              .addMethod(getGetApiKeyMethod())
              .addMethod(getListApiKeysMethod())
              .addMethod(getUpdateApiKeyMethod())
              .addMethod(getRotateApiKeyMethod())
              .addMethod(getRevokeApiKeyMethod())
              .addMethod(getDeleteApiKeyMethod())
              .addMethod(getVerifyApiKeyMethod())
              .build();
        }
      }
    }
    return result;
  }
}
