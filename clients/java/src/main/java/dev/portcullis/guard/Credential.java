package dev.portcullis.guard;

import java.util.ArrayList;
import java.util.List;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** The key that a request brings, or what is wrong with how it brings one. Not a record: those print themselves. */
final class Credential {
    private static final Pattern KEY = Pattern.compile("[!-~]{1,512}");
    private static final Pattern BEARER = Pattern.compile("bearer +(.*)", Pattern.CASE_INSENSITIVE | Pattern.DOTALL);

    /** The key; null if there is a fault. */
    final String key;

    /** What is wrong; null if there is a key. */
    final Refusal.Reason fault;

    private Credential(String key, Refusal.Reason fault) {
        this.key = key;
        this.fault = fault;
    }

    /** Reads every line of the headers Authorization and X-API-Key. */
    static Credential read(Iterable<String> authorizationLines, Iterable<String> apiKeyLines) {
        List<String> authorization = values(authorizationLines);
        List<String> apiKey = values(apiKeyLines);
        if (authorization.size() > 1 || apiKey.size() > 1) {
            return new Credential(null, Refusal.Reason.AMBIGUOUS_KEY);
        }
        String bearer = authorization.isEmpty() ? "" : bearer(authorization.get(0));
        String bare = apiKey.isEmpty() ? "" : apiKey.get(0);
        if (!bearer.isEmpty() && !bare.isEmpty()) {
            return new Credential(null, Refusal.Reason.AMBIGUOUS_KEY);
        }
        String key = bearer.isEmpty() ? bare : bearer;
        if (key.isEmpty()) {
            return new Credential(null, Refusal.Reason.MISSING_KEY);
        }
        if (!KEY.matcher(key).matches()) {
            return new Credential(null, Refusal.Reason.INVALID_KEY);
        }
        return new Credential(key, null);
    }

    private static List<String> values(Iterable<String> lines) {
        List<String> values = new ArrayList<>();
        for (String line : lines) {
            // -1: an empty value behind a comma is one, too.
            for (String value : line.split(",", -1)) {
                values.add(trimmed(value));
            }
        }
        return values;
    }

    private static String trimmed(String value) {
        int from = 0;
        int to = value.length();
        while (from < to && isBlank(value.charAt(from))) {
            from++;
        }
        while (from < to && isBlank(value.charAt(to - 1))) {
            to--;
        }
        return value.substring(from, to);
    }

    private static boolean isBlank(char c) {
        return c == ' ' || c == '\t';
    }

    private static String bearer(String value) {
        Matcher bearer = BEARER.matcher(value);
        return bearer.matches() ? bearer.group(1) : "";
    }
}
