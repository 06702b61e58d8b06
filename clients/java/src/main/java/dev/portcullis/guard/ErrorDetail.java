package dev.portcullis.guard;

import com.google.protobuf.Any;
import com.google.protobuf.InvalidProtocolBufferException;
import com.google.protobuf.Message;
import io.grpc.protobuf.StatusProto;
import java.util.Optional;

/** What the status of a failed call carries. */
final class ErrorDetail {
    private ErrorDetail() {}

    /** The first detail of a type. */
    static <T extends Message> Optional<T> first(Throwable error, Class<T> type) {
        try {
            com.google.rpc.Status status = StatusProto.fromThrowable(error);
            if (status != null) {
                for (Any detail : status.getDetailsList()) {
                    if (detail.is(type)) {
                        return Optional.of(detail.unpack(type));
                    }
                }
            }
        } catch (InvalidProtocolBufferException | IllegalArgumentException noDetails) {
            // Something between here and Portcullis spoilt them.
        }
        return Optional.empty();
    }
}
