package dev.portcullis.guard;

import dev.portcullis.v1.VerifyRequest;
import java.util.List;
import java.util.regex.Pattern;

/** What a guard may ask of a key: what the server would refuse in every request is refused when the guard is made. */
final class Demand {
    private static final Pattern KEYSPACE = Pattern.compile("[a-z][a-z0-9-]{0,39}");
    private static final Pattern SCOPE = Pattern.compile("[a-z0-9][a-z0-9_.:/-]*\\*?");
    private static final int SCOPE_LENGTH_MAX = 128;
    private static final int SCOPES_MAX = 100;
    private static final long COST_MAX = 1_000_000_000;

    // It has the root keys. Their scopes are permissions, whose names and form the server alone knows.
    private static final String SYSTEM = "system";

    private Demand() {}

    /** The keyspace as the server spells it, where an empty one stands for any. */
    static String keyspace(String keyspace) {
        if (keyspace == null || keyspace.isEmpty()) {
            throw new IllegalArgumentException(
                    "keyspace is missing: name the keyspace whose keys may pass, such as \"default\", or"
                            + " Guard.ANY_KEYSPACE for every keyspace that the root key may verify in");
        }
        if (keyspace.equals(Guard.ANY_KEYSPACE)) {
            return "";
        }
        if (!KEYSPACE.matcher(keyspace).matches()) {
            throw new IllegalArgumentException(
                    "keyspace \"%s\" is not the id of a keyspace: must match %s".formatted(keyspace, KEYSPACE));
        }
        return keyspace;
    }

    /** Throws an IllegalArgumentException for scopes or a cost that the server would refuse. */
    static VerifyRequest checked(VerifyRequest demand) {
        checkScopes("scopes", demand.getRequiredScopesList(), demand.getKeyspace());
        checkScopes("anyOfScopes", demand.getAnyOfScopesList(), demand.getKeyspace());
        if (demand.getCost() < 0 || demand.getCost() > COST_MAX) {
            throw new IllegalArgumentException("cost must be 0 to %d; is %d".formatted(COST_MAX, demand.getCost()));
        }
        return demand;
    }

    private static void checkScopes(String name, List<String> scopes, String keyspace) {
        if (scopes.size() > SCOPES_MAX) {
            throw new IllegalArgumentException(
                    "%s must be at most %d; are %d".formatted(name, SCOPES_MAX, scopes.size()));
        }
        if (keyspace.equals(SYSTEM)) {
            return;
        }
        for (int index = 0; index < scopes.size(); index++) {
            String scope = scopes.get(index);
            if (scope.length() > SCOPE_LENGTH_MAX || !SCOPE.matcher(scope).matches()) {
                throw new IllegalArgumentException(
                        ("%s[%d] \"%s\" is not a scope: must be 1 to %d of [a-z0-9_.:/-], start with a letter or digit,"
                                        + " and may have `*` at its end only")
                                .formatted(name, index, scope, SCOPE_LENGTH_MAX));
            }
        }
    }
}
