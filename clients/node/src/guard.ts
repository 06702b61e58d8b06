import { isIP } from 'node:net';
import { type ServiceError, status } from '@grpc/grpc-js';
import { type Portcullis, sharedClient } from './client.js';
import { credentialOf } from './credential.js';
import { ANY_KEYSPACE, checkDemand } from './demand.js';
import { errorDetail } from './error.js';
import { type Identity, unverified, verified } from './identity.js';
import { checkOptions, isBoolean, isObject, isString, isStrings, optional, type Rules } from './options.js';
import { Refusal, type RefusalCode, type RefusalDetails } from './refusal.js';
import { ErrorInfo, RetryInfo, Verdict, type VerifyResponse } from './stubs.js';

/**
 * What a guard asks of a key, and whom. Of `scopes`, `anyOfScopes`, `keyspace` and `cost`, undefined is an error: what is
 * asked for is there, or left out.
 */
export interface GuardOptions {
    /** Default: one from the environment, which all guards share. */
    client?: Portcullis;
    /** Scopes that the key must all have: up to 100. */
    scopes?: readonly string[];
    /** Scopes of which the key must have one: up to 100. */
    anyOfScopes?: readonly string[];
    /** The keyspace that the key must belong to, such as `default`; or `ANY_KEYSPACE`. It must be given. */
    keyspace: string;
    /** How many credits a request takes: 0 to 1,000,000,000. Default: 1. */
    cost?: number;
    /** The realm of the challenge in a refusal, printable ASCII, and not empty. Default: `api`. */
    realm?: string;
    /**
     * Lets requests that bring a key through, unverified, in an outage: while Portcullis cannot be reached, and where it
     * does not answer in time, or answers UNAVAILABLE, while no replica of it is ready. Whoever has no valid key then needs
     * only to make one up.
     */
    dangerouslyAllowWhenUnavailable?: boolean;
    /** Where to tell of an unavailable Portcullis, a line a request. Default: the console. */
    logger?: Logger;
}

/** The domain of the ErrorInfo in every error that Portcullis makes. */
const DOMAIN = 'portcullis.v1';

/** What a guard logs to; the console is one, and so are pino and winston. */
export interface Logger {
    warn(line: string): void;
    error(line: string): void;
}

/** The credential headers of a request: every line of each, as it was sent. */
export interface CredentialHeaders {
    authorization: readonly string[];
    apiKey: readonly string[];
}

/** What every key of a guard is asked for. */
interface Demands {
    scopes: string[];
    anyOfScopes: string[];
    keyspace: string;
    cost: number | undefined;
}

/** Decides about requests, whatever the framework. */
export class Guard {
    readonly #demands: Demands;
    readonly #allowWhenUnavailable: boolean;
    readonly #client: Portcullis;
    readonly #realm: string;
    readonly #logger: Logger;

    /**
     * Throws a TypeError if the options are not as they must be, or if there is neither a client nor a root key for one.
     * `rules` are those of a framework's guard, which has more options.
     */
    constructor(options: GuardOptions, rules: Rules<GuardOptions> = GUARD_RULES) {
        checkGuardOptions(options, rules);
        const { scopes = [], anyOfScopes = [], keyspace, cost } = options;
        this.#demands = {
            scopes: [...scopes],
            anyOfScopes: [...anyOfScopes],
            // As the server spells it.
            keyspace: keyspace === ANY_KEYSPACE ? '' : keyspace,
            cost,
        };
        this.#allowWhenUnavailable = options.dangerouslyAllowWhenUnavailable ?? false;
        this.#client = options.client ?? sharedClient();
        this.#realm = options.realm ?? 'api';
        this.#logger = options.logger ?? console;
    }

    /**
     * Verifies the one key of a request. `clientIp` is the address that it comes from; what is no IP address counts as
     * unknown. Never rejects.
     */
    async check(headers: CredentialHeaders, clientIp: string | undefined): Promise<Identity | Refusal> {
        const credential = credentialOf(headers.authorization, headers.apiKey);
        if ('refused' in credential) {
            return this.#refuse(credential.refused);
        }
        const { scopes, anyOfScopes, keyspace, cost } = this.#demands;
        let response: VerifyResponse;
        try {
            response = await this.#client.verification.verify({
                key: credential.key,
                requiredScopes: scopes,
                anyOfScopes,
                keyspace,
                clientIp: addressOf(clientIp),
                cost,
            });
        } catch (error) {
            return this.#unanswered(error as Partial<ServiceError>);
        }
        return response.valid ? verified(response) : this.#invalid(response);
    }

    #invalid({ verdict, missingScopes, rateLimit }: VerifyResponse): Refusal {
        const code = CODES.get(verdict) ?? 'denied';
        switch (code) {
            case 'insufficient_scope':
                return this.#refuse(code, { missingScopes });
            case 'rate_limited':
                return this.#refuse(code, { retryAfter: secondsUntil(rateLimit?.retryTime) });
            default:
                return this.#refuse(code);
        }
    }

    #unanswered(error: Partial<ServiceError>): Identity | Refusal {
        const { code, message, details } = error;
        const reason = typeof code === 'number' ? `${status[code] ?? code}: ${details}` : message;
        if (this.#allowWhenUnavailable && this.#isOutage(error)) {
            this.#logger.warn(`portcullis: a request was let through unverified: ${reason}`);
            return unverified();
        }
        this.#logger.error(`portcullis: a key could not be verified: ${reason}`);
        return this.#refuse('unavailable', { retryAfter: retryDelaySeconds(error) });
    }

    /**
     * Whether a call failed because Portcullis is away. A caller can make single calls slow, such as by keys that take long
     * to check: those fail while Portcullis is well.
     */
    #isOutage(error: Partial<ServiceError>): boolean {
        switch (error.code) {
            case status.UNAVAILABLE:
                // Of a connection; or else Portcullis itself answered.
                return errorDetail(error, ErrorInfo)?.domain !== DOMAIN || this.#client.reportFailure();
            case status.DEADLINE_EXCEEDED:
                return this.#client.reportFailure();
            default:
                return false;
        }
    }

    #refuse(code: RefusalCode, details?: RefusalDetails): Refusal {
        return new Refusal(code, this.#realm, details);
    }
}

/** What the options of every guard must be. */
export const GUARD_RULES: Rules<GuardOptions> = {
    client: [optional(isObject), 'a Portcullis'],
    scopes: [isStrings, 'an array of strings'],
    anyOfScopes: [isStrings, 'an array of strings'],
    keyspace: [(value) => value === undefined || value === null || isString(value), 'a string'],
    cost: [isNumber, 'a number'],
    realm: [optional(isRealm), 'a text of printable ASCII'],
    // Not by accident, as the text `false` would.
    dangerouslyAllowWhenUnavailable: [optional(isBoolean), 'true or false'],
    logger: [optional(isObject), 'an object with warn and error'],
};

/** Throws a TypeError if no guard can be made with the options. */
export function checkGuardOptions<O extends GuardOptions>(options: O, rules: Rules<O>): void {
    checkOptions(options, rules);
    checkDemand(options);
}

function isNumber(value: unknown): boolean {
    return typeof value === 'number';
}

function isRealm(value: unknown): boolean {
    return typeof value === 'string' && /^[ -~]+$/.test(value);
}

const CODES: ReadonlyMap<Verdict, RefusalCode> = new Map<Verdict, RefusalCode>([
    [Verdict.MALFORMED, 'invalid_key'],
    [Verdict.NOT_FOUND, 'invalid_key'],
    [Verdict.REVOKED, 'revoked_key'],
    [Verdict.EXPIRED, 'expired_key'],
    [Verdict.DISABLED, 'disabled_key'],
    [Verdict.IP_NOT_ALLOWED, 'ip_not_allowed'],
    [Verdict.INSUFFICIENT_SCOPE, 'insufficient_scope'],
    [Verdict.RATE_LIMITED, 'rate_limited'],
    [Verdict.CREDITS_EXHAUSTED, 'credits_exhausted'],
]);

/** An IP address, or nothing: behind a proxy it may be whatever the caller wrote. Portcullis knows no zones of IPv6. */
function addressOf(clientIp: string | undefined): string {
    // In JavaScript it may be a list of one, too.
    return typeof clientIp === 'string' && isIP(clientIp) !== 0 ? clientIp.replace(/%.*/, '') : '';
}

function secondsUntil(time: Date | undefined): number {
    return Math.max(1, Math.ceil(((time?.getTime() ?? 0) - Date.now()) / 1000));
}

function retryDelaySeconds(error: unknown): number {
    const { seconds = 0n, nanos = 0 } = errorDetail(error, RetryInfo)?.retryDelay ?? {};
    return Math.min(60, Math.max(1, Math.ceil(Number(seconds) + nanos / 1e9)));
}
