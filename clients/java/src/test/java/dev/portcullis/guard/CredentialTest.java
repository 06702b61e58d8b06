package dev.portcullis.guard;

import static org.junit.jupiter.api.Assertions.assertEquals;
import static org.junit.jupiter.api.Assertions.assertFalse;
import static org.junit.jupiter.api.Assertions.assertNull;

import java.util.List;
import org.junit.jupiter.api.Test;
import org.junit.jupiter.params.ParameterizedTest;
import org.junit.jupiter.params.provider.CsvSource;

class CredentialTest {
    // Lines of a header are separated by ; and absent is no line at all.
    private static Credential read(String authorization, String apiKey) {
        return Credential.read(lines(authorization), lines(apiKey));
    }

    private static List<String> lines(String lines) {
        return lines == null ? List.of() : List.of(lines.split(";", -1));
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            nullValues = "absent",
            ignoreLeadingAndTrailingWhitespace = false,
            value = {
                "Bearer k|absent",
                "bEaReR k|absent",
                "Bearer    k|absent",
                " \tBearer k\t |absent",
                "absent|k",
                "absent| \tk\t ",
                "Basic eA==|k",
                "k|k",
                "|k",
                "Bearer|k",
                "Bearer k|"
            })
    void findsTheKey(String authorization, String apiKey) {
        Credential credential = read(authorization, apiKey);

        assertNull(credential.fault);
        assertEquals("k", credential.key);
    }

    @ParameterizedTest
    @CsvSource(
            delimiter = '|',
            nullValues = "absent",
            ignoreLeadingAndTrailingWhitespace = false,
            value = {
                "absent|absent|MISSING_KEY",
                "||MISSING_KEY",
                "Bearer|absent|MISSING_KEY",
                "Bearer  |absent|MISSING_KEY",
                "Bearer\tk|absent|MISSING_KEY",
                "Bearerk|absent|MISSING_KEY",
                "k|absent|MISSING_KEY",
                "Basic k|absent|MISSING_KEY",
                "Bearer k;Bearer k|absent|AMBIGUOUS_KEY",
                "Bearer k,Bearer l|absent|AMBIGUOUS_KEY",
                "Basic k;Bearer k|absent|AMBIGUOUS_KEY",
                "Bearer k,|absent|AMBIGUOUS_KEY",
                "Bearer k|k|AMBIGUOUS_KEY",
                "absent|k;l|AMBIGUOUS_KEY",
                "absent|k, k|AMBIGUOUS_KEY",
                "Bearer k l|absent|INVALID_KEY",
                "Bearer \tk|absent|INVALID_KEY",
                "absent|k\u007f|INVALID_KEY",
                "absent|schl\u00fcssel|INVALID_KEY"
            })
    void saysWhatIsWrong(String authorization, String apiKey, Refusal.Reason fault) {
        Credential credential = read(authorization, apiKey);

        assertEquals(fault, credential.fault);
        assertNull(credential.key);
    }

    @Test
    void takesKeysOf512Characters() {
        assertNull(read(null, "x".repeat(512)).fault);
        assertEquals(Refusal.Reason.INVALID_KEY, read(null, "x".repeat(513)).fault);
    }

    @Test
    void doesNotPrintTheKey() {
        assertFalse(read(null, "secret").toString().contains("secret"));
    }
}
