package dev.portcullis.guard;

import dev.portcullis.client.PortcullisClient;
import jakarta.servlet.Filter;
import jakarta.servlet.FilterChain;
import jakarta.servlet.FilterConfig;
import jakarta.servlet.ServletException;
import jakarta.servlet.ServletRequest;
import jakarta.servlet.ServletResponse;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.nio.charset.StandardCharsets;
import java.util.Collections;
import java.util.function.Function;

/**
 * Guards servlets. What it lets through finds an {@link Identity} in the request; the rest is answered here.
 *
 * <p>Made in code, it is given its {@link Guard}. Made by the container, it takes the init parameters {@code
 * keyspace}, which it needs ({@code *}: any), {@code scopes}, {@code any-of-scopes} (both separated by blanks), {@code
 * cost}, {@code realm} and {@code dangerously-allow-when-unavailable} ({@code true}), and makes a client of the variables {@code PORTCULLIS_SERVER} and
 * {@code PORTCULLIS_ROOT_KEY}.
 *
 * <p>It holds its thread while it waits for the answer, as filters do. Map it to the dispatcher type REQUEST only, which
 * is the default: each pass is a use of the key.
 *
 * <p>It guards only what comes behind it in the chain. Jetty puts its own {@code WebSocketUpgradeFilter} before all
 * filters: what {@code JettyWebSocketServletContainerInitializer.configure} maps is opened without a key. Serve
 * WebSockets with a {@code JettyWebSocketServlet}, which stands behind the filters, as any servlet does.
 */
public final class ApiKeyFilter implements Filter {
    /** The name of the request attribute with the {@link Identity}. */
    public static final String IDENTITY = "dev.portcullis.identity";

    private final Function<HttpServletRequest, String> clientIp;
    private Guard guard;
    private PortcullisClient ownClient;

    /** A filter that takes its guard from init parameters. */
    public ApiKeyFilter() {
        this(null);
    }

    /** A filter that takes the peer of the connection, as the container tells it, for who sends a request. */
    public ApiKeyFilter(Guard guard) {
        this(guard, ServletRequest::getRemoteAddr);
    }

    /** A filter that is told whose address sends a request: IPv4 or IPv6 without a port; null if unknown. */
    public ApiKeyFilter(Guard guard, Function<HttpServletRequest, String> clientIp) {
        this.guard = guard;
        this.clientIp = clientIp;
    }

    /**
     * Who sent a request that a filter let through.
     *
     * @throws IllegalStateException if none did
     */
    public static Identity identity(ServletRequest request) {
        if (request.getAttribute(IDENTITY) instanceof Identity identity) {
            return identity;
        }
        throw new IllegalStateException("No ApiKeyFilter stands before this route");
    }

    @Override
    public void init(FilterConfig config) throws ServletException {
        if (guard != null) {
            return;
        }
        try {
            ownClient = PortcullisClient.builder().build();
            guard = configured(ownClient, config);
        } catch (IllegalArgumentException fault) {
            destroy();
            throw new ServletException(fault.getMessage(), fault);
        }
    }

    @Override
    public void doFilter(ServletRequest request, ServletResponse response, FilterChain chain)
            throws IOException, ServletException {
        HttpServletRequest http = (HttpServletRequest) request;
        Decision decision = guard.check(
                Collections.list(http.getHeaders("Authorization")),
                Collections.list(http.getHeaders("X-API-Key")),
                clientIp.apply(http));
        if (decision instanceof Identity identity) {
            request.setAttribute(IDENTITY, identity);
            chain.doFilter(request, response);
        } else {
            answer((HttpServletResponse) response, (Refusal) decision);
        }
    }

    @Override
    public void destroy() {
        if (ownClient != null) {
            ownClient.close();
        }
    }

    private void answer(HttpServletResponse response, Refusal refusal) throws IOException {
        response.setStatus(refusal.reason().httpStatus());
        response.setHeader("Cache-Control", "no-store");
        String challenge = HttpRefusal.challenge(refusal, guard.realm());
        if (challenge != null) {
            response.setHeader("WWW-Authenticate", challenge);
        }
        if (refusal.retryAfter() > 0) {
            response.setHeader("Retry-After", Long.toString(refusal.retryAfter()));
        }
        byte[] body = HttpRefusal.body(refusal).getBytes(StandardCharsets.US_ASCII);
        response.setContentType("application/json");
        response.setContentLength(body.length);
        response.getOutputStream().write(body);
    }

    static Guard configured(PortcullisClient client, FilterConfig config) {
        Guard guard = Guard.of(client, stripped(config, "keyspace"));
        for (String name : Collections.list(config.getInitParameterNames())) {
            String value = stripped(config, name);
            guard = switch (name) {
                case "scopes" -> guard.scopes(scopes(name, value));
                case "any-of-scopes" -> guard.anyOfScopes(scopes(name, value));
                // That of the guard from the beginning.
                case "keyspace" -> guard;
                case "cost" -> guard.cost(Long.parseLong(value));
                case "realm" -> guard.realm(value);
                case "dangerously-allow-when-unavailable" ->
                    flag(value) ? guard.dangerouslyAllowWhenUnavailable() : guard;
                // A name that is mistyped must not leave a demand out.
                default -> throw new IllegalArgumentException("ApiKeyFilter has no init parameter " + name);
            };
        }
        return guard;
    }

    private static String stripped(FilterConfig config, String name) {
        String value = config.getInitParameter(name);
        return value == null ? null : value.strip();
    }

    private static String[] scopes(String name, String value) {
        if (value.isEmpty()) {
            throw new IllegalArgumentException("The init parameter " + name + " has no scope");
        }
        return value.split("\\s+");
    }

    private static boolean flag(String value) {
        return switch (value) {
            case "true" -> true;
            case "false" -> false;
            default -> throw new IllegalArgumentException("Neither true nor false: " + value);
        };
    }
}
