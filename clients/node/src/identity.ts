import type { VerifyResponse } from './stubs.js';

/** What is left of the rate limit that is nearest to its end. */
export interface IdentityRateLimit {
    /** The name of the limit; may be empty. */
    name: string;
    /** How many uses a window has. */
    limit: number;
    /** How many uses there are now. */
    remaining: number;
    /** When all that may be used at once is there again, if nothing is used meanwhile. */
    resetTime: Date | null;
}

/** Who makes a request. The key itself is not in here. */
export interface Identity {
    /** True for a verified key; false for a request let through unverified, about which all else is null or empty. */
    authenticated: boolean;
    /** The id of the key. */
    keyId: string | null;
    /** The keyspace of the key. */
    keyspace: string | null;
    /** Whom the key acts for. */
    subject: string | null;
    /** The subject, if it begins with `user_`. */
    userId: string | null;
    /** The subject, if it begins with `org_`. */
    orgId: string | null;
    /** The rights of the key. */
    scopes: string[];
    /** JSON that your backend attached to the key. */
    claims: Record<string, unknown>;
    /** When the key expires; null if it never does. */
    expireTime: Date | null;
    /** Null for a key without limits. */
    rateLimit: IdentityRateLimit | null;
    /** How many credits are left, as far as the replica that answered knows; null for a key without credits. */
    creditsRemaining: number | null;
}

/** The identity of a valid key. */
export function verified(response: VerifyResponse): Identity {
    const { subject, rateLimit, creditsRemaining } = response;
    return {
        authenticated: true,
        keyId: response.keyId,
        keyspace: response.keyspace,
        subject,
        userId: subject.startsWith('user_') ? subject : null,
        orgId: subject.startsWith('org_') ? subject : null,
        scopes: response.scopes,
        claims: response.claims ?? {},
        expireTime: response.expireTime ?? null,
        rateLimit: rateLimit
            ? {
                  name: rateLimit.name,
                  // At most 10^9, and 10^15 for credits: a number holds them exactly, and JSON can write it.
                  limit: Number(rateLimit.limit),
                  remaining: Number(rateLimit.remaining),
                  resetTime: rateLimit.resetTime ?? null,
              }
            : null,
        creditsRemaining: creditsRemaining === undefined ? null : Number(creditsRemaining),
    };
}

/** The identity of a request that was let through while Portcullis was unavailable. */
export function unverified(): Identity {
    return {
        authenticated: false,
        keyId: null,
        keyspace: null,
        subject: null,
        userId: null,
        orgId: null,
        scopes: [],
        claims: {},
        expireTime: null,
        rateLimit: null,
        creditsRemaining: null,
    };
}
