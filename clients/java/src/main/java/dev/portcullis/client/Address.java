package dev.portcullis.client;

import java.net.InetAddress;
import java.net.UnknownHostException;
import java.util.regex.Matcher;
import java.util.regex.Pattern;

/** Where a replica listens. */
record Address(boolean tls, String host, int port) {
    // No java.net.URI: it finds no host in names with an underscore, which container networks have.
    private static final Pattern FORM =
            Pattern.compile("(https?)://(\\[[0-9a-f:.%]+]|[^\\s/:@?#\\[\\]]+):(\\d{1,5})/?", Pattern.CASE_INSENSITIVE);

    static Address parse(String text) {
        Matcher parts = FORM.matcher(text);
        int port = parts.matches() ? Integer.parseInt(parts.group(3)) : 0;
        if (port < 1 || port > 65535) {
            throw new IllegalArgumentException("An address is http://HOST:PORT or https://HOST:PORT: " + text);
        }
        return new Address(parts.group(1).equalsIgnoreCase("https"), parts.group(2), port);
    }

    /** As gRPC writes it, and as a certificate is checked against. */
    String authority() {
        return host + ":" + port;
    }

    /** Whether this is certainly the present machine, whatever a name server says. */
    boolean isLoopback() {
        if (host.equalsIgnoreCase("localhost")) {
            return true;
        }
        if (!host.startsWith("[") && !host.matches("[0-9.]+")) {
            return false;
        }
        try {
            return InetAddress.getByName(host).isLoopbackAddress();
        } catch (UnknownHostException notAnAddress) {
            return false;
        }
    }
}
