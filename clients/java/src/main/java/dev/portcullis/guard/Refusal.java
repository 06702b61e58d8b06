package dev.portcullis.guard;

import io.grpc.Status;
import java.util.List;
import java.util.Locale;

/**
 * Why a guard turns a request away.
 *
 * @param reason what is wrong
 * @param missingScopes what the key lacks; empty but for {@link Reason#INSUFFICIENT_SCOPE}
 * @param retryAfter in how many seconds to try again; 0 where time mends nothing
 */
public record Refusal(Reason reason, List<String> missingScopes, long retryAfter) implements Decision {

    static Refusal of(Reason reason) {
        return new Refusal(reason, List.of(), 0);
    }

    static Refusal until(Reason reason, long retryAfter) {
        return new Refusal(reason, List.of(), retryAfter);
    }

    /** What can be wrong, and how it is told. */
    public enum Reason {
        MISSING_KEY(Status.Code.UNAUTHENTICATED, "An API key is needed, as Authorization: Bearer or X-API-Key."),
        AMBIGUOUS_KEY(Status.Code.UNAUTHENTICATED, "More than one credential was sent."),
        INVALID_KEY(Status.Code.UNAUTHENTICATED, "The API key is not valid."),
        REVOKED_KEY(Status.Code.UNAUTHENTICATED, "The API key was revoked."),
        EXPIRED_KEY(Status.Code.UNAUTHENTICATED, "The API key has expired."),
        DISABLED_KEY(Status.Code.UNAUTHENTICATED, "The API key is switched off."),
        IP_NOT_ALLOWED(Status.Code.PERMISSION_DENIED, "The API key may not be used from this address."),
        INSUFFICIENT_SCOPE(Status.Code.PERMISSION_DENIED, "The API key lacks a scope that this needs."),
        DENIED(Status.Code.PERMISSION_DENIED, "The API key may not be used for this."),
        RATE_LIMITED(Status.Code.RESOURCE_EXHAUSTED, "The API key was used as often as it may be for now."),
        CREDITS_EXHAUSTED(Status.Code.RESOURCE_EXHAUSTED, "The API key has too few credits left."),
        UNAVAILABLE(Status.Code.UNAVAILABLE, "API keys cannot be checked just now.");

        private final Status.Code grpcCode;
        private final String message;

        Reason(Status.Code grpcCode, String message) {
            this.grpcCode = grpcCode;
            this.message = message;
        }

        /** The code, as it stands in the body of an answer: {@code missing_key}. */
        public String code() {
            return name().toLowerCase(Locale.ROOT);
        }

        /** What to tell the caller. */
        public String message() {
            return message;
        }

        /** The code of a gRPC status. */
        public Status.Code grpcCode() {
            return grpcCode;
        }

        /** The status of an HTTP answer. */
        public int httpStatus() {
            return switch (grpcCode) {
                case UNAUTHENTICATED -> 401;
                case PERMISSION_DENIED -> 403;
                case RESOURCE_EXHAUSTED -> 429;
                default -> 503;
            };
        }
    }
}
