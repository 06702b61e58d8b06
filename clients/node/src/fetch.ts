import { checkGuardOptions, Guard, GUARD_RULES, type GuardOptions } from './guard.js';
import type { Identity } from './identity.js';
import { isFunction, isString, optional, type Rules } from './options.js';
import { Refusal } from './refusal.js';

/** A request with a verified key. */
export interface Authenticated extends Omit<NonNullableIdentity, 'authenticated'> {
    isAuthenticated: true;
    refusal: null;
}

/** A request without one. */
export type Unauthenticated = { [F in keyof Omit<Identity, 'authenticated'>]: null } & {
    isAuthenticated: false;
    /** The answer to give; null for a request let through unverified, by `dangerouslyAllowWhenUnavailable`. */
    refusal: Refusal | null;
};

export type Auth = Authenticated | Unauthenticated;

type Known = 'keyId' | 'keyspace' | 'subject';
type NonNullableIdentity = Omit<Identity, Known> & { [F in Known]: string };

interface FetchGuardOptions extends GuardOptions {
    /** The only kind of token that there is. */
    acceptsToken?: 'api_key';
}

export interface AuthOptions extends FetchGuardOptions {
    /** The address that the request comes from. A Request does not tell; without it, keys bound to networks are refused. */
    clientIp?: string | undefined;
}

export interface ProtectOptions<Context extends unknown[]> extends FetchGuardOptions {
    /** The address that a request comes from, out of what the handler is called with. */
    clientIp?: (request: Request, ...context: Context) => string | undefined;
}

const RULES: Rules<FetchGuardOptions> = {
    ...GUARD_RULES,
    acceptsToken: [optional((value) => value === 'api_key'), "'api_key'"],
};
const AUTH_RULES: Rules<AuthOptions> = { ...RULES, clientIp: [optional(isString), 'an address'] };
const PROTECT_RULES: Rules<ProtectOptions<any>> = {
    ...RULES,
    clientIp: [optional(isFunction), 'a function of what the handler is called with'],
};

/** Says who makes a request. Does not answer it: `refusal.response()` is the answer where there is one. */
export async function auth(request: Request, options: AuthOptions): Promise<Auth> {
    return askedBy(new Guard(options, AUTH_RULES), request, options.clientIp);
}

/**
 * Wraps a fetch-style handler: it is called for requests with a good key, with who makes them as its second argument and
 * what the platform adds behind it; all others are answered.
 */
export function protect<Context extends unknown[]>(
    handler: (request: Request, auth: Auth, ...context: Context) => Response | Promise<Response>,
    options: ProtectOptions<Context>,
): (request: Request, ...context: Context) => Promise<Response> {
    checkGuardOptions(options, PROTECT_RULES);
    // Made with the first request: where routes are only built, there is no root key.
    let guard: Guard | undefined;
    return async (request, ...context) => {
        guard ??= new Guard(options, PROTECT_RULES);
        const who = await askedBy(guard, request, options.clientIp?.(request, ...context));
        return who.refusal ? who.refusal.response() : handler(request, who, ...context);
    };
}

async function askedBy(guard: Guard, request: Request, clientIp: string | undefined): Promise<Auth> {
    const outcome = await guard.check(
        { authorization: lines(request, 'authorization'), apiKey: lines(request, 'x-api-key') },
        clientIp,
    );
    if (outcome instanceof Refusal) {
        return { ...NOBODY, refusal: outcome };
    }
    const { authenticated, ...identity } = outcome;
    return authenticated
        ? { isAuthenticated: true, ...(identity as NonNullableIdentity), refusal: null }
        : { ...NOBODY, refusal: null };
}

const NOBODY = {
    isAuthenticated: false,
    keyId: null,
    keyspace: null,
    subject: null,
    userId: null,
    orgId: null,
    scopes: null,
    claims: null,
    expireTime: null,
    rateLimit: null,
    creditsRemaining: null,
} as const;

/** Headers hold all lines of a name in one, separated by commas. */
function lines(request: Request, name: string): string[] {
    const value = request.headers.get(name);
    return value === null ? [] : [value];
}
