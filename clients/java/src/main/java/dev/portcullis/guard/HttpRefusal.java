package dev.portcullis.guard;

import java.util.stream.Collectors;

/** How a refusal is told over HTTP. */
final class HttpRefusal {
    private HttpRefusal() {}

    /** The value of WWW-Authenticate, as RFC 6750 says; null where there is none. */
    static String challenge(Refusal refusal, String realm) {
        String error =
                switch (refusal.reason()) {
                    case MISSING_KEY -> "";
                    case AMBIGUOUS_KEY -> "invalid_request";
                    case INVALID_KEY, REVOKED_KEY, EXPIRED_KEY, DISABLED_KEY -> "invalid_token";
                    case INSUFFICIENT_SCOPE -> "insufficient_scope";
                    default -> null;
                };
        if (error == null) {
            return null;
        }
        String challenge = "Bearer realm=" + quoted(realm);
        if (!error.isEmpty()) {
            challenge += ", error=" + quoted(error) + ", error_description="
                    + quoted(refusal.reason().message());
        }
        if (!refusal.missingScopes().isEmpty()) {
            challenge += ", scope=" + quoted(String.join(" ", refusal.missingScopes()));
        }
        return challenge;
    }

    /** The body, as JSON. */
    static String body(Refusal refusal) {
        String scopes = refusal.missingScopes().isEmpty()
                ? ""
                : refusal.missingScopes().stream()
                        .map(HttpRefusal::json)
                        .collect(Collectors.joining(", ", ", \"missing_scopes\": [", "]"));
        return "{\"error\": " + json(refusal.reason().code()) + ", \"message\": "
                + json(refusal.reason().message()) + scopes + "}";
    }

    private static String quoted(String text) {
        return '"' + text.replaceAll("[\"\\\\]", "\\\\$0") + '"';
    }

    /** A string of JSON, in ASCII. */
    private static String json(String text) {
        return text.chars()
                .mapToObj(c -> c >= ' ' && c <= '~' && c != '"' && c != '\\'
                        ? String.valueOf((char) c)
                        : String.format("\\u%04x", c))
                .collect(Collectors.joining("", "\"", "\""));
    }
}
