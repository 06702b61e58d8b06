/** As the `keyspace` of a guard: keys of every keyspace pass that the root key may verify in. */
export const ANY_KEYSPACE = '*';

/** What a guard asks of every key. */
export interface Demand {
    scopes?: readonly string[];
    anyOfScopes?: readonly string[];
    keyspace?: string;
    cost?: number;
}

const KEYSPACE = /^[a-z][a-z0-9-]{0,39}$/;
const SCOPE = /^[a-z0-9][a-z0-9_.:/-]*\*?$/;
const SCOPE_LENGTH_MAX = 128;
const SCOPES_MAX = 100;
const COST_MAX = 1_000_000_000;
// It has the root keys. Their scopes are permissions, whose names and form the server alone knows.
const SYSTEM = 'system';

/** Throws a TypeError if the server would refuse the demand in every request. */
export function checkDemand({ scopes = [], anyOfScopes = [], keyspace, cost }: Demand): void {
    if (!keyspace) {
        throw new TypeError(
            'keyspace is missing: name the keyspace whose keys may pass, such as "default", or ANY_KEYSPACE of @portcullis/client for every keyspace that the root key may verify in.',
        );
    }
    if (keyspace !== ANY_KEYSPACE && !KEYSPACE.test(keyspace)) {
        throw new TypeError(
            `keyspace ${JSON.stringify(keyspace)} is not the id of a keyspace: must match [a-z][a-z0-9-]{0,39}.`,
        );
    }
    checkScopes('scopes', scopes, keyspace);
    checkScopes('anyOfScopes', anyOfScopes, keyspace);
    if (cost !== undefined && !(Number.isInteger(cost) && cost >= 0 && cost <= COST_MAX)) {
        throw new TypeError(`cost must be 0 to ${COST_MAX}; is ${cost}.`);
    }
}

function checkScopes(name: string, scopes: readonly string[], keyspace: string): void {
    if (scopes.length > SCOPES_MAX) {
        throw new TypeError(`${name} must be at most ${SCOPES_MAX}; are ${scopes.length}.`);
    }
    if (keyspace === SYSTEM) {
        return;
    }
    scopes.forEach((scope, index) => {
        if (scope.length > SCOPE_LENGTH_MAX || !SCOPE.test(scope)) {
            throw new TypeError(
                `${name}[${index}] ${JSON.stringify(scope)} is not a scope: must be 1 to ${SCOPE_LENGTH_MAX} of [a-z0-9_.:/-], start with a letter or digit, and may have \`*\` at its end only.`,
            );
        }
    });
}
