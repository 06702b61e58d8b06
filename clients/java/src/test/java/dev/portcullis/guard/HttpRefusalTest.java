package dev.portcullis.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.io.Reader;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.Map;
import org.eclipse.jetty.util.ajax.JSON;
import org.junit.jupiter.api.Test;

class HttpRefusalTest {
    private static final List<String> SCOPES = List.of("orders:read", "orders:write");

    private static Refusal refusal(Refusal.Reason reason) {
        return new Refusal(reason, reason == Refusal.Reason.INSUFFICIENT_SCOPE ? SCOPES : List.of(), 0);
    }

    @Test
    void saysWhatTheTableOfAllLanguagesSays() throws Exception {
        Map<?, ?> table;
        try (Reader file = Files.newBufferedReader(Path.of("../conformance/refusals.json"))) {
            table = (Map<?, ?>) new JSON().fromJSON(file);
        }
        assertEquals(Refusal.Reason.values().length, table.size());
        for (Refusal.Reason reason : Refusal.Reason.values()) {
            Map<?, ?> wanted = (Map<?, ?>) table.get(reason.code());
            String challenge = (String) wanted.get("challenge");

            assertEquals(wanted.get("status"), (long) reason.httpStatus());
            assertEquals(wanted.get("grpc"), reason.grpcCode().name());
            assertEquals(wanted.get("message"), reason.message());
            assertEquals(
                    challenge == null ? null : challenge.replace("${missing_scopes}", String.join(" ", SCOPES)),
                    HttpRefusal.challenge(refusal(reason), "api"));
        }
    }

    @Test
    void hasABodyOfJson() {
        assertEquals(
                "{\"error\": \"insufficient_scope\", \"message\": \"The API key lacks a scope that this needs.\","
                        + " \"missing_scopes\": [\"orders:read\", \"orders:write\"]}",
                HttpRefusal.body(refusal(Refusal.Reason.INSUFFICIENT_SCOPE)));
    }

    @Test
    void escapesWhatIsNotPlain() {
        String odd = "a\"b\\c\nd\u00fc\ud83d\ude00";
        Refusal refusal = new Refusal(Refusal.Reason.INSUFFICIENT_SCOPE, List.of(odd), 0);
        Map<?, ?> body = (Map<?, ?>) new JSON().fromJSON(HttpRefusal.body(refusal));

        assertEquals(odd, ((Object[]) body.get("missing_scopes"))[0]);
        assertEquals(
                "Bearer realm=\"the \\\"realm\\\\\"",
                HttpRefusal.challenge(refusal(Refusal.Reason.MISSING_KEY), "the \"realm\\"));
        assertNull(HttpRefusal.challenge(refusal(Refusal.Reason.DENIED), "api"));
    }
}
