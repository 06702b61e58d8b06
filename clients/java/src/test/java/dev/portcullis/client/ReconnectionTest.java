package dev.portcullis.client;

import static org.junit.jupiter.api.Assertions.assertTrue;

import dev.portcullis.testing.FakePortcullis;
import dev.portcullis.v1.VerifyRequest;
import dev.portcullis.v1.VerifyResponse;
import java.io.IOException;
import java.net.InetAddress;
import java.net.ServerSocket;
import java.time.Duration;
import java.util.concurrent.CountDownLatch;
import java.util.concurrent.TimeUnit;
import org.junit.jupiter.api.Test;

class ReconnectionTest {
    @Test
    void looksForADeadReplicaWhileAnotherAnswers() throws Exception {
        // Left alone, gRPC takes 34 s at least for so many attempts; this takes 9.
        CountDownLatch attempts = new CountDownLatch(8);
        try (ServerSocket dead = new ServerSocket(0, 50, InetAddress.getLoopbackAddress());
                FakePortcullis live = new FakePortcullis(request -> VerifyResponse.getDefaultInstance());
                PortcullisClient client = PortcullisClient.builder()
                        .addresses("http://127.0.0.1:" + dead.getLocalPort(), live.address())
                        .rootKey("root_key")
                        .timeout(Duration.ofMinutes(1))
                        .build()) {
            Thread hangsUp = new Thread(() -> {
                try {
                    while (true) {
                        dead.accept().close();
                        attempts.countDown();
                    }
                } catch (IOException closed) {
                    // The test is over.
                }
            });
            hangsUp.start();
            client.verification().verify(VerifyRequest.getDefaultInstance());

            assertTrue(attempts.await(30, TimeUnit.SECONDS));
            client.verification().verify(VerifyRequest.getDefaultInstance());
        }
    }
}
