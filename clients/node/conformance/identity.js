/** The identity as the routes answer with it. */
export function written(identity) {
    return {
        authenticated: identity.authenticated,
        key_id: identity.keyId,
        keyspace: identity.keyspace,
        subject: identity.subject,
        user_id: identity.userId,
        org_id: identity.orgId,
        scopes: identity.scopes ?? [],
        claims: identity.claims ?? {},
    };
}
