package dev.portcullis.client;

import static org.junit.jupiter.api.Assertions.assertEquals;

import java.util.Optional;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;
import org.junit.jupiter.params.provider.ValueSource;

class AddressTest {
    @Test
    void hasSchemeHostAndPort() {
        assertEquals(Optional.of(new Address(true, "key_server", 50051)), Address.parse("https://key_server:50051"));
        assertEquals(Optional.of(new Address(false, "[::1]", 1)), Address.parse("HTTP://[::1]:1/"));
    }

    @ParameterizedTest
    @ValueSource(
            strings = {
                "",
                "localhost:50051",
                "http://localhost",
                "http://:50051",
                "http://localhost:0",
                "http://localhost:65536",
                "http://localhost:50051/path",
                "http://user@localhost:50051",
                "http://a,http://b:1",
                "ftp://localhost:21"
            })
    void isNothingElse(String text) {
        assertEquals(Optional.empty(), Address.parse(text));
    }

    @ParameterizedTest
    @CsvSource({
        "localhost, true",
        "LocalHost, true",
        "127.0.0.1, true",
        "127.9.9.9, true",
        "[::1], true",
        "127.0.0.1.example.com, false",
        "localhost.example.com, false",
        "10.0.0.1, false",
        "0.0.0.0, false",
        "[::], false",
        "999.1.1.1, false",
        "127.0.0.256, false",
        "127.1, false",
        "[::ffff:127.0.0.1], false"
    })
    void knowsThisMachine(String host, boolean loopback) {
        assertEquals(loopback, new Address(false, host, 1).isLoopback());
    }
}
