package dev.portcullis.conformance;

import dev.portcullis.client.PortcullisClient;
import dev.portcullis.guard.Guard;
import java.io.IOException;
import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import org.eclipse.jetty.util.ajax.JSON;

/** The guard of every profile, each with the client of its server. */
record Stage(Map<String, Guard> guards, Map<String, String> guardErrors) {

    static Stage fromEnvironment() throws IOException {
        Map<?, ?> stage;
        try (Reader file = Files.newBufferedReader(Path.of(System.getenv("PORTCULLIS_STAGE")))) {
            stage = (Map<?, ?>) new JSON().fromJSON(file);
        }
        Map<String, PortcullisClient> clients = new HashMap<>();
        ((Map<?, ?>) stage.get("servers"))
                .forEach((name, server) -> clients.put((String) name, client((Map<?, ?>) server)));
        Map<String, Guard> guards = new HashMap<>();
        ((Map<?, ?>) stage.get("profiles")).forEach((name, entry) -> {
            Map<?, ?> profile = (Map<?, ?>) entry;
            guards.put((String) name, guard(clients.get(profile.get("server")), profile));
        });
        Map<String, String> errors = new HashMap<>();
        ((Map<?, ?>) stage.get("invalid_guards"))
                .forEach((name, options) -> errors.put((String) name, error(clients.get("main"), (Map<?, ?>) options)));
        return new Stage(guards, errors);
    }

    private static PortcullisClient client(Map<?, ?> server) {
        return PortcullisClient.builder()
                .addresses(strings(server.get("addresses")))
                .rootKey((String) server.get("root_key"))
                .timeout(Duration.ofMillis((Long) server.get("timeout_ms")))
                .build();
    }

    private static String error(PortcullisClient client, Map<?, ?> options) {
        try {
            guard(client, options);
            return null;
        } catch (IllegalArgumentException error) {
            return error.getMessage();
        }
    }

    private static Guard guard(PortcullisClient client, Map<?, ?> profile) {
        Guard guard = Guard.of(client, (String) profile.get("keyspace"))
                .scopes(strings(profile.get("scopes")))
                .anyOfScopes(strings(profile.get("any_of_scopes")));
        if (profile.get("cost") instanceof Long cost) {
            guard = guard.cost(cost);
        }
        return Boolean.TRUE.equals(profile.get("dangerously_allow_when_unavailable"))
                ? guard.dangerouslyAllowWhenUnavailable()
                : guard;
    }

    private static String[] strings(Object array) {
        return List.of((Object[]) array).toArray(String[]::new);
    }
}
