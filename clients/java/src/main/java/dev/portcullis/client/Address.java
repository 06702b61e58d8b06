package dev.portcullis.client;

import java.util.Optional;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where a replica listens. */
record Address(boolean tls, String host, int port) {
    // No java.net.URI: it finds no host in names with an underscore, which container networks have.
    private static final Pattern FORM =
            Pattern.compile("(https?)://(\\[[0-9a-f:.%]+]|[^\\s/:@?#\\[\\]]+):(\\d{1,5})/?", Pattern.CASE_INSENSITIVE);

    private static final String OCTET = "(25[0-5]|2[0-4]\\d|1?\\d?\\d)";
    private static final Pattern LOOPBACK = Pattern.compile(
            "localhost|127\\.%s\\.%s\\.%s|\\[::1]".formatted(OCTET, OCTET, OCTET), Pattern.CASE_INSENSITIVE);

    /** Empty if the text is none. */
    static Optional<Address> parse(String text) {
        Matcher parts = FORM.matcher(text);
        int port = parts.matches() ? Integer.parseInt(parts.group(3)) : 0;
        if (port < 1 || port > 65535) {
            return Optional.empty();
        }
        return Optional.of(new Address(parts.group(1).equalsIgnoreCase("https"), parts.group(2), port));
    }

    /** As gRPC writes it, and as a certificate is checked against. */
    String authority() {
        return host + ":" + port;
    }

    /** HOST:PORT as gRPC looks it up. A path of a URI has no brackets, and no zone, of IPv6. */
    static String target(String authority) {
        return "dns:///" + authority.replace("%", "%25").replace("[", "%5B").replace("]", "%5D");
    }

    /** Whether this is certainly the present machine, whatever a name server says. */
    boolean isLoopback() {
        return LOOPBACK.matcher(host).matches();
    }
}
