package dev.portcullis.conformance;

import dev.portcullis.guard.ApiKeyFilter;
import jakarta.servlet.DispatcherType;
import jakarta.servlet.http.HttpServlet;
import jakarta.servlet.http.HttpServletRequest;
import jakarta.servlet.http.HttpServletResponse;
import java.io.IOException;
import java.net.InetSocketAddress;
import java.util.EnumSet;
import java.util.HashMap;
import java.util.Map;
import org.eclipse.jetty.ee10.servlet.FilterHolder;
import org.eclipse.jetty.ee10.servlet.ServletContextHandler;
import org.eclipse.jetty.ee10.servlet.ServletHolder;
import org.eclipse.jetty.server.Server;

/** A servlet container with a route for each profile. */
final class ServletApp {
    private ServletApp() {}

    static Map<String, String> start(Stage stage) throws Exception {
        ServletContextHandler context = new ServletContextHandler();
        context.addServlet(new ServletHolder(new WhoAmI()), "/*");
        stage.guards()
                .forEach((profile, guard) -> context.addFilter(
                        new FilterHolder(new ApiKeyFilter(guard)), "/" + profile, EnumSet.of(DispatcherType.REQUEST)));
        Server server = new Server(new InetSocketAddress("127.0.0.1", 0));
        server.setHandler(context);
        server.start();
        Map<String, String> routes = new HashMap<>();
        stage.guards().keySet().forEach(profile -> routes.put(profile, server.getURI() + profile));
        return routes;
    }

    private static final class WhoAmI extends HttpServlet {
        private static final long serialVersionUID = 1;

        @Override
        protected void doGet(HttpServletRequest request, HttpServletResponse response) throws IOException {
            response.setContentType("application/json");
            response.getWriter().write(IdentityJson.of(ApiKeyFilter.identity(request)));
        }

        @Override
        protected void doPost(HttpServletRequest request, HttpServletResponse response) throws IOException {
            doGet(request, response);
        }
    }
}
