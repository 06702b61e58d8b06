package dev.portcullis.client;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertThrows;

import dev.portcullis.testing.Certificate;
import dev.portcullis.testing.RealPortcullis;
import dev.portcullis.v1.Verdict;
import dev.portcullis.v1.VerifyRequest;
import io.grpc.Status;
import io.grpc.StatusRuntimeException;
import java.io.UncheckedIOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.time.Duration;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.api.io.TempDir;

class TlsTest {
    private static final VerifyRequest REQUEST =
            VerifyRequest.newBuilder().setKey("hello").build();

    @TempDir
    Path folder;

    private RealPortcullis server(Certificate certificate) throws Exception {
        return RealPortcullis.start(
                Files.createTempDirectory(folder, "server"),
                "--tls-cert",
                certificate.certificate().toString(),
                "--tls-key",
                certificate.privateKey().toString());
    }

    private static PortcullisClient.Builder client(String... addresses) {
        return PortcullisClient.builder()
                .addresses(addresses)
                .rootKey(RealPortcullis.ROOT_KEY)
                .timeout(Duration.ofMinutes(1));
    }

    @Test
    void checksEachReplicaAgainstItsOwnName() throws Exception {
        Certificate certificate = Certificate.make(folder);
        try (RealPortcullis server = server(certificate)) {
            String address = "https://" + server.address();
            // At the other address nobody listens.
            for (String[] addresses : new String[][] {{address}, {"https://localhost:1", address}}) {
                try (PortcullisClient client = client(addresses)
                        .caCertificates(certificate.certificate())
                        .build()) {
                    assertEquals(
                            Verdict.VERDICT_MALFORMED,
                            client.verification().verify(REQUEST).getVerdict());
                }
            }
        }
    }

    @Test
    void refusesACertificateThatNobodyVouchesFor() throws Exception {
        try (RealPortcullis server = server(Certificate.make(folder));
                PortcullisClient client = client("https://" + server.address()).build()) {
            StatusRuntimeException error = assertThrows(
                    StatusRuntimeException.class, () -> client.verification().verify(REQUEST));

            assertEquals(Status.Code.UNAVAILABLE, error.getStatus().getCode());
            assertEquals(
                    "the certificate of " + server.address()
                            + " is not signed by an authority that is trusted here: give its CA by caCertificates",
                    error.getStatus().getDescription());
            assertFalse(error.toString().contains(RealPortcullis.ROOT_KEY));
        }
    }

    @Test
    void saysThatTheServerSpeaksTls() throws Exception {
        try (RealPortcullis server = server(Certificate.make(folder));
                PortcullisClient client = client("http://" + server.address()).build()) {
            assertEquals(
                    "the server at %1$s speaks TLS: use https://%1$s".formatted(server.address()), unavailable(client));
        }
    }

    @Test
    void saysThatTheServerDoesNotSpeakTls() throws Exception {
        try (RealPortcullis server = RealPortcullis.start(Files.createTempDirectory(folder, "server"));
                PortcullisClient client = client("https://" + server.address()).build()) {
            String says = "the server at %1$s does not speak TLS: use http://%1$s, and allowPlaintext or"
                            .formatted(server.address())
                    + " PORTCULLIS_ALLOW_PLAINTEXT=true if it is another machine";
            assertEquals(says, unavailable(client));
        }
    }

    private static String unavailable(PortcullisClient client) {
        StatusRuntimeException error = assertThrows(
                StatusRuntimeException.class, () -> client.verification().verify(REQUEST));
        assertEquals(Status.Code.UNAVAILABLE, error.getStatus().getCode());
        return error.getStatus().getDescription();
    }

    @Test
    void asksForHealthByTheSameNames() throws Exception {
        Certificate certificate = Certificate.make(folder);
        try (RealPortcullis server = server(certificate);
                PortcullisClient trusted = client("https://localhost:1", "https://" + server.address())
                        .caCertificates(certificate.certificate())
                        .build();
                PortcullisClient stranger =
                        client("https://" + server.address()).build()) {
            // One that is not trusted is not reached: by then, the other has been.
            for (int times = 0; times < 2; times++) {
                trusted.reportFailure();
                Thread.sleep(1000);
                while (!stranger.reportFailure()) {
                    Thread.sleep(10);
                }
                assertFalse(trusted.reportFailure());
            }
        }
    }

    @Test
    void saysThatTheCertificatesCannotBeRead() {
        assertThrows(UncheckedIOException.class, () -> client("https://127.0.0.1:1")
                .caCertificates(folder.resolve("none.pem"))
                .build());
    }
}
