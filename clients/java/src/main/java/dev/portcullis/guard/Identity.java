package dev.portcullis.guard;

import com.google.protobuf.Struct;
import com.google.protobuf.Timestamp;
import com.google.protobuf.Value;
import dev.portcullis.v1.RateLimitStatus;
import dev.portcullis.v1.VerifyResponse;
import java.time.Instant;
import java.util.Collections;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;

/**
 * Who sent a request. The key itself is not in it.
 *
 * @param authenticated false for a request that was let through unverified, of which all else is null or empty
 * @param keyId the id of the key
 * @param keyspace the keyspace of the key
 * @param subject whom the key acts for
 * @param scopes the scopes of the key
 * @param claims the claims of the key: null, Boolean, Double, String, List and Map
 * @param expireTime when the key expires; null if it never does
 * @param rateLimit what is left of the limit that is nearest to its end; null for a key without limits
 * @param creditsRemaining how many credits are left; null for a key without credits
 */
public record Identity(
        boolean authenticated,
        String keyId,
        String keyspace,
        String subject,
        List<String> scopes,
        Map<String, Object> claims,
        Instant expireTime,
        RateLimitStatus rateLimit,
        Long creditsRemaining)
        implements Decision {

    static final Identity UNVERIFIED = new Identity(false, null, null, null, List.of(), Map.of(), null, null, null);

    static Identity of(VerifyResponse answer) {
        return new Identity(
                true,
                answer.getKeyId(),
                answer.getKeyspace(),
                answer.getSubject(),
                List.copyOf(answer.getScopesList()),
                map(answer.getClaims()),
                answer.hasExpireTime() ? instant(answer.getExpireTime()) : null,
                answer.hasRateLimit() ? answer.getRateLimit() : null,
                answer.hasCreditsRemaining() ? answer.getCreditsRemaining() : null);
    }

    /** The subject, if it begins with {@code user_}; null otherwise. */
    public String userId() {
        return subject != null && subject.startsWith("user_") ? subject : null;
    }

    /** The subject, if it begins with {@code org_}; null otherwise. */
    public String orgId() {
        return subject != null && subject.startsWith("org_") ? subject : null;
    }

    private static Instant instant(Timestamp time) {
        return Instant.ofEpochSecond(time.getSeconds(), time.getNanos());
    }

    private static Map<String, Object> map(Struct struct) {
        Map<String, Object> map = new LinkedHashMap<>();
        struct.getFieldsMap().forEach((name, value) -> map.put(name, object(value)));
        return Collections.unmodifiableMap(map);
    }

    private static Object object(Value value) {
        return switch (value.getKindCase()) {
            case BOOL_VALUE -> value.getBoolValue();
            case NUMBER_VALUE -> value.getNumberValue();
            case STRING_VALUE -> value.getStringValue();
            case STRUCT_VALUE -> map(value.getStructValue());
            case LIST_VALUE ->
                value.getListValue().getValuesList().stream()
                        .map(Identity::object)
                        .toList();
            case NULL_VALUE, KIND_NOT_SET -> null;
        };
    }
}
