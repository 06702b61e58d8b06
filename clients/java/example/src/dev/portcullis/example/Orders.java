package dev.portcullis.example;

import dev.portcullis.client.PortcullisClient;
import dev.portcullis.guard.ApiKeyFilter;
import dev.portcullis.guard.Guard;
import jakarta.servlet.DispatcherType;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.EnumSet;
import java.util.List;
import java.util.Map;
import org.eclipse.jetty.ee10.servlet.FilterHolder;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.server.Server;
import org.eclipse.jetty.util.ajax.JSON;

/** An API whose {@code GET /orders} needs a key with the scope {@code orders:read}. */
public final class Orders extends HttpServlet {
    private static final long serialVersionUID = 1;

    public static void main(String[] arguments) throws Exception {
        Guard guard = Guard.of(PortcullisClient.builder().build(), "default");

        ServletContextHandler context = new ServletContextHandler();
        context.addFilter(
                new FilterHolder(new ApiKeyFilter(guard.scopes("orders:read"))),
                "/orders",
                EnumSet.of(DispatcherType.REQUEST));
        context.addServlet(Orders.class, "/orders");

        int port = Integer.parseInt(System.getenv().getOrDefault("PORT", "8080"));
        Server server = new Server(new InetSocketAddress("127.0.0.1", port));
        server.setHandler(context);
        server.start();
        System.out.println("listening on http://127.0.0.1:" + server.getURI().getPort());
        server.join();
    }

    @Override
    protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
        String subject = ApiKeyFilter.identity(request).subject();
        response.setContentType("application/json");
        response.getWriter()
                .write(new JSON().toJSON(Map.of("subject", subject, "orders", List.of("order_1", "order_2"))));
    }
}
