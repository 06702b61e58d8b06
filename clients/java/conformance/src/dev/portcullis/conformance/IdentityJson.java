package dev.portcullis.conformance;

import dev.portcullis.guard.Identity;
import java.util.HashMap;
import java.util.Map;
import org.eclipse.jetty.util.ajax.JSON;

/** An identity as the apps tell it. */
final class IdentityJson {
    private IdentityJson() {}

    static String of(Identity identity) {
        Map<String, Object> told = new HashMap<>();
        told.put("authenticated", identity.authenticated());
        told.put("key_id", identity.keyId());
        told.put("keyspace", identity.keyspace());
        told.put("subject", identity.subject());
        told.put("user_id", identity.userId());
        told.put("org_id", identity.orgId());
        told.put("scopes", identity.scopes());
        told.put("claims", identity.claims());
        return new JSON().toJSON(told);
    }
}
