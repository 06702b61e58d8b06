package dev.portcullis.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;

import dev.portcullis.client.PortcullisClient;
import dev.portcullis.testing.RealPortcullis;
import dev.portcullis.v1.CreateApiKeyRequest;
import dev.portcullis.v1.CreateApiKeyResponse;
import dev.portcullis.v1.RevokeApiKeyRequest;
import java.nio.file.Path;
import java.time.Duration;
import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class RealServerTest {
    @Test
    void refusesAKeyOnceItIsRevoked(@TempDir Path folder) throws Exception {
        try (RealPortcullis server = RealPortcullis.start(folder);
                PortcullisClient client = PortcullisClient.builder()
                        .addresses("http://" + server.address())
                        .rootKey(RealPortcullis.ROOT_KEY)
                        .timeout(Duration.ofMinutes(1))
                        .build()) {
            CreateApiKeyResponse made = client.apiKeys()
                    .createApiKey(CreateApiKeyRequest.newBuilder()
                            .setName("test")
                            .setSubject("user_1")
                            .addScopes("orders:read")
                            .build());
            Guard guard = Guard.of(client, "default").scopes("orders:read");
            List<String> authorization = List.of("Bearer " + made.getSecret());

            Identity identity = (Identity) guard.check(authorization, List.of(), "");
            assertEquals(made.getApiKey().getId(), identity.keyId());
            assertEquals("user_1", identity.userId());

            client.apiKeys()
                    .revokeApiKey(RevokeApiKeyRequest.newBuilder()
                            .setId(made.getApiKey().getId())
                            .build());
            assertEquals(Refusal.of(Refusal.Reason.REVOKED_KEY), guard.check(authorization, List.of(), ""));
        }
    }
}
