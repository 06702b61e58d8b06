package dev.portcullis.client;

import io.grpc.Status;
import java.util.List;
import java.util.stream.Collectors;

/** Says of a connection that could not be made what to do, where the scheme of the address or the certificate is the reason. */
final class ConnectionDiagnosis {
    // gRPC shades Netty: its exceptions have no name to catch.
    private static final String NO_TLS = "not an SSL/TLS record";
    private static final String NO_SETTINGS = "First received frame was not SETTINGS";
    // The head of an alert of TLS, as Netty shows what it was sent.
    private static final String TLS_ALERT = "Hex dump for first 5 bytes: 15";
    // What a Portcullis with TLS says to plaintext, in a GOAWAY.
    private static final String USE_TLS = "this port speaks TLS";
    private static final String UNKNOWN_AUTHORITY = "unable to find valid certification path";
    private static final int DEPTH_MAX = 20;

    private final String http;
    private final String https;
    private final String at;

    ConnectionDiagnosis(List<Address> replicas) {
        at = replicas.stream().map(Address::authority).collect(Collectors.joining(" or "));
        http = replicas.stream().map(one -> "http://" + one.authority()).collect(Collectors.joining(", "));
        https = replicas.stream().map(one -> "https://" + one.authority()).collect(Collectors.joining(", "));
    }

    /** The status with the diagnosis as its description; the same if there is none. */
    Status diagnosed(Status status) {
        String diagnosis = of(status);
        return diagnosis == null
                ? status
                : Status.UNAVAILABLE.withDescription(diagnosis).withCause(status.getCause());
    }

    private String of(Status status) {
        String told = told(status);
        if (told.contains(USE_TLS) || (told.contains(NO_SETTINGS) && told.contains(TLS_ALERT))) {
            return "the server at " + at + " speaks TLS: use " + https;
        }
        if (told.contains(NO_TLS)) {
            return "the server at " + at + " does not speak TLS: use " + http
                    + ", and allowPlaintext or PORTCULLIS_ALLOW_PLAINTEXT=true if it is another machine";
        }
        if (told.contains(UNKNOWN_AUTHORITY)) {
            return "the certificate of " + at
                    + " is not signed by an authority that is trusted here: give its CA by caCertificates";
        }
        return null;
    }

    private static String told(Status status) {
        StringBuilder told = new StringBuilder();
        told.append(status.getDescription());
        Throwable cause = status.getCause();
        for (int depth = 0; cause != null && depth < DEPTH_MAX; depth++) {
            told.append('\n').append(cause);
            cause = cause.getCause();
        }
        return told.toString();
    }
}
