/** Why a request was refused. */
export type RefusalCode = keyof typeof REFUSALS;

/** Of each code: its status, its text, and the `error` of RFC 6750 that its challenge names. */
const REFUSALS = {
    missing_key: [401, 'An API key is needed, as Authorization: Bearer or X-API-Key.', ''],
    ambiguous_key: [401, 'More than one credential was sent.', 'invalid_request'],
    invalid_key: [401, 'The API key is not valid.', 'invalid_token'],
    revoked_key: [401, 'The API key was revoked.', 'invalid_token'],
    expired_key: [401, 'The API key has expired.', 'invalid_token'],
    disabled_key: [401, 'The API key is switched off.', 'invalid_token'],
    ip_not_allowed: [403, 'The API key may not be used from this address.', null],
    insufficient_scope: [403, 'The API key lacks a scope that this needs.', 'insufficient_scope'],
    denied: [403, 'The API key may not be used for this.', null],
    rate_limited: [429, 'The API key was used as often as it may be for now.', null],
    credits_exhausted: [429, 'The API key has too few credits left.', null],
    unavailable: [503, 'API keys cannot be checked just now.', null],
} as const;

/** What some refusals have besides their code. */
export interface RefusalDetails {
    /** The scopes that the key lacks. */
    missingScopes?: readonly string[];
    /** After how many whole seconds to try again. */
    retryAfter?: number;
}

/** The answer to a request that may not pass. */
export class Refusal {
    readonly code: RefusalCode;
    /** The HTTP status: 401, 403, 429 or 503. */
    readonly status: number;
    /** The text for people. */
    readonly message: string;
    /** The scopes that the key lacks; empty unless the code is `insufficient_scope`. */
    readonly missingScopes: readonly string[];
    /** The headers of the answer, by their names in small letters. */
    readonly headers: Readonly<Record<string, string>>;
    /** The body of the answer, as JSON. */
    readonly body: string;

    /** `realm` and the scopes go into a header: printable ASCII only. */
    constructor(code: RefusalCode, realm: string, { missingScopes = [], retryAfter }: RefusalDetails = {}) {
        const [status, message, error] = REFUSALS[code];
        this.code = code;
        this.status = status;
        this.message = message;
        this.missingScopes = missingScopes;

        const challenge = [`Bearer realm=${quoted(realm)}`];
        if (error) {
            challenge.push(`error="${error}"`, `error_description="${message}"`);
        }
        if (missingScopes.length > 0) {
            challenge.push(`scope=${quoted(missingScopes.join(' '))}`);
        }
        this.headers = {
            'content-type': 'application/json',
            'cache-control': 'no-store',
            ...(error === null ? {} : { 'www-authenticate': challenge.join(', ') }),
            ...(retryAfter === undefined ? {} : { 'retry-after': String(retryAfter) }),
        };
        this.body = JSON.stringify({
            error: code,
            message,
            ...(missingScopes.length > 0 ? { missing_scopes: missingScopes } : {}),
        });
    }

    /** The answer for fetch-style handlers, made anew by each call. */
    response(): Response {
        return new Response(this.body, { status: this.status, headers: this.headers });
    }
}

/** As a quoted-string of HTTP. */
function quoted(text: string): string {
    return `"${text.replace(/["\\]/g, '\\$&')}"`;
}
