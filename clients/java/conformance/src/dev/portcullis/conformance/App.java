package dev.portcullis.conformance;

import java.util.HashMap;
import java.util.Map;
import org.eclipse.jetty.util.ajax.JSON;

/** Runs the app of one framework until standard input ends. */
public final class App {
    private App() {}

    public static void main(String[] arguments) throws Exception {
        Stage stage = Stage.fromEnvironment();
        Map<String, String> routes =
                switch (arguments[0]) {
                    case "servlet" -> ServletApp.start(stage);
                    case "grpc-java" -> GrpcApp.start(stage);
                    default -> throw new IllegalArgumentException("no app for " + arguments[0]);
                };
        Map<String, Object> line = new HashMap<>(routes);
        line.put("invalid_guards", stage.guardErrors());
        System.out.println(new JSON().toJSON(line));
        System.in.transferTo(java.io.OutputStream.nullOutputStream());
        System.exit(0);
    }
}
