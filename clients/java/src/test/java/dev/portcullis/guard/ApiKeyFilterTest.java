package dev.portcullis.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertThrows;
import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.portcullis.client.PortcullisClient;
import dev.portcullis.testing.FakePortcullis;
import dev.portcullis.v1.VerifyRequest;
import dev.portcullis.v1.VerifyResponse;
import io.grpc.Status;
import jakarta.servlet.DispatcherType;
import jakarta.servlet.FilterConfig;
import jakarta.servlet.ServletContext;
import jakarta.servlet.ServletException;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.net.http.HttpClient;
import java.net.http.HttpRequest;
import java.net.http.HttpResponse;
import java.util.Collections;
import java.util.EnumSet;
import java.util.Enumeration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.eclipse.jetty.ee10.servlet.FilterHolder;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.server.Server;
import org.junit.jupiter.api.Test;

class ApiKeyFilterTest {
    private static final VerifyResponse VALID =
            VerifyResponse.newBuilder().setValid(true).setSubject("user_1").build();

    /** Says who called. */
    public static final class WhoAmI extends HttpServlet {
        private static final long serialVersionUID = 1;

        @Override
        protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
            response.getWriter().write(ApiKeyFilter.identity(request).subject());
        }
    }

    private static HttpResponse<String> get(FilterHolder filter, String... headers) throws Exception {
        ServletContextHandler context = new ServletContextHandler();
        context.addServlet(WhoAmI.class, "/");
        if (filter != null) {
            context.addFilter(filter, "/*", EnumSet.of(DispatcherType.REQUEST));
        }
        Server server = new Server(new InetSocketAddress("127.0.0.1", 0));
        server.setHandler(context);
        server.start();
        try {
            HttpRequest.Builder request = HttpRequest.newBuilder(server.getURI());
            for (int i = 0; i < headers.length; i += 2) {
                request.header(headers[i], headers[i + 1]);
            }
            return HttpClient.newHttpClient().send(request.build(), HttpResponse.BodyHandlers.ofString());
        } finally {
            server.stop();
        }
    }

    @Test
    void tellsTheRouteWhoCalls() throws Exception {
        try (FakePortcullis portcullis = new FakePortcullis(request -> VALID);
                PortcullisClient client = portcullis.client()) {
            HttpResponse<String> answer =
                    get(new FilterHolder(new ApiKeyFilter(Guard.of(client, "default"))), "X-API-Key", "k");

            assertEquals(200, answer.statusCode());
            assertEquals("user_1", answer.body());
            assertEquals("127.0.0.1", portcullis.requests.get(0).getClientIp());
        }
    }

    @Test
    void answersARefusal() throws Exception {
        VerifyResponse denied = VerifyResponse.newBuilder()
                .setVerdict(dev.portcullis.v1.Verdict.VERDICT_RATE_LIMITED)
                .build();
        try (FakePortcullis portcullis = new FakePortcullis(request -> denied);
                PortcullisClient client = portcullis.client()) {
            HttpResponse<String> answer =
                    get(new FilterHolder(new ApiKeyFilter(Guard.of(client, "default"))), "X-API-Key", "k");

            assertEquals(429, answer.statusCode());
            assertEquals(
                    "application/json",
                    answer.headers().firstValue("Content-Type").get());
            assertEquals(
                    "no-store", answer.headers().firstValue("Cache-Control").get());
            assertEquals("1", answer.headers().firstValue("Retry-After").get());
            assertTrue(answer.headers().firstValue("WWW-Authenticate").isEmpty());
        }
    }

    @Test
    void namesTheRealm() throws Exception {
        try (PortcullisClient client =
                PortcullisClient.builder().rootKey("root").build()) {
            HttpResponse<String> answer = get(new FilterHolder(
                    new ApiKeyFilter(Guard.of(client, "default").realm("orders"))));

            assertEquals(401, answer.statusCode());
            assertEquals(
                    "Bearer realm=\"orders\"",
                    answer.headers().firstValue("WWW-Authenticate").get());
        }
    }

    @Test
    void isToldTheAddress() throws Exception {
        try (FakePortcullis portcullis = new FakePortcullis(request -> VALID);
                PortcullisClient client = portcullis.client()) {
            ApiKeyFilter filter =
                    new ApiKeyFilter(Guard.of(client, "default"), request -> request.getHeader("X-Forwarded-For"));

            get(new FilterHolder(filter), "X-API-Key", "k", "X-Forwarded-For", "192.0.2.9");

            assertEquals("192.0.2.9", portcullis.requests.get(0).getClientIp());
        }
    }

    @Test
    void isMissedWhereItDoesNotStand() throws Exception {
        assertEquals(500, get(null).statusCode());
    }

    @Test
    void takesInitParameters() {
        try (FakePortcullis portcullis = new FakePortcullis(request -> VALID);
                PortcullisClient client = portcullis.client()) {
            Guard guard = ApiKeyFilter.configured(
                    client,
                    parameters(Map.of(
                            "scopes", " a  b ",
                            "any-of-scopes", "c",
                            "keyspace", "prod",
                            "cost", "7",
                            "realm", "orders",
                            "dangerously-allow-when-unavailable", "false")));

            guard.check(List.of("Bearer k"), List.of(), "");

            VerifyRequest wanted = VerifyRequest.newBuilder()
                    .setKey("k")
                    .addAllRequiredScopes(List.of("a", "b"))
                    .addAnyOfScopes("c")
                    .setKeyspace("prod")
                    .setCost(7)
                    .build();
            assertEquals(List.of(wanted), portcullis.requests);
            assertEquals("orders", guard.realm());
        }
    }

    @Test
    void opensByInitParameterToo() {
        try (FakePortcullis portcullis = new FakePortcullis(request -> {
                    throw Status.UNAVAILABLE.asRuntimeException();
                });
                PortcullisClient client = portcullis.client()) {
            Guard guard = ApiKeyFilter.configured(
                    client, parameters(Map.of("keyspace", "default", "dangerously-allow-when-unavailable", "true")));

            assertEquals(Identity.UNVERIFIED, guard.check(List.of("Bearer k"), List.of(), ""));
        }
    }

    @Test
    void refusesInitParametersThatItDoesNotKnow() {
        try (PortcullisClient client =
                PortcullisClient.builder().rootKey("root").build()) {
            for (Map<String, String> wrong : List.of(
                    Map.of("keyspace", ""),
                    Map.of("keyspace", "Default"),
                    Map.of("scope", "a"),
                    Map.of("cost", "much"),
                    Map.of("scopes", " "),
                    Map.of("any-of-scopes", ""),
                    Map.of("realm", ""),
                    Map.of("dangerously-allow-when-unavailable", "yes"))) {
                Map<String, String> all = new HashMap<>(Map.of("keyspace", "default"));
                all.putAll(wrong);
                assertThrows(
                        IllegalArgumentException.class,
                        () -> ApiKeyFilter.configured(client, parameters(all)),
                        all::toString);
            }
            IllegalArgumentException error = assertThrows(
                    IllegalArgumentException.class,
                    () -> ApiKeyFilter.configured(client, parameters(Map.of("scopes", "a"))));
            assertTrue(error.getMessage().startsWith("keyspace is missing"), error.getMessage());
        }
    }

    @Test
    void doesNotStartWithoutARootKey() {
        ServletException fault =
                assertThrows(ServletException.class, () -> new ApiKeyFilter().init(parameters(Map.of())));

        assertEquals("No root key: set rootKey or PORTCULLIS_ROOT_KEY", fault.getMessage());
    }

    private static FilterConfig parameters(Map<String, String> parameters) {
        return new FilterConfig() {
            @Override
            public String getFilterName() {
                return "test";
            }

            @Override
            public ServletContext getServletContext() {
                throw new UnsupportedOperationException();
            }

            @Override
            public String getInitParameter(String name) {
                return parameters.get(name);
            }

            @Override
            public Enumeration<String> getInitParameterNames() {
                return Collections.enumeration(parameters.keySet());
            }
        };
    }
}
