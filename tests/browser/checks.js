// What holds for every client, wherever it runs and whatever it speaks. Each check is given `call(method, request,
// options)`, which calls by that client with the server's root key, and the server.

import assert from 'node:assert/strict';
import { randomBytes } from 'node:crypto';

const CREATE = 'ApiKeyService/CreateApiKey';
const VERIFY = 'VerificationService/Verify';

/** A keyspace with as many keys as one answer may hold. */
export const LARGE = { id: 'large', keys: 1000 };

/** Fills `LARGE`. */
export async function fillLarge(call) {
    answerOf(await call('KeyspaceService/CreateKeyspace', { keyspace: { id: LARGE.id } }));
    // Most of what fits into an answer, but not into a request: one letter here is three bytes.
    for (let made = 0; made < LARGE.keys; made += LARGE.keys / 4) {
        const entries = Array.from({ length: LARGE.keys / 4 }, (_, index) => ({
            name: `key ${made + index}`,
            subject: 'user_1',
            description: '€'.repeat(300),
            digest: { algorithm: 'DIGEST_ALGORITHM_SHA256', value: randomBytes(32).toString('base64') },
        }));
        const { results } = answerOf(await call('ApiKeyService/ImportApiKeys', { keyspace: LARGE.id, entries }));
        assert.ok(
            results.every(({ apiKey }) => apiKey),
            JSON.stringify(results[0]),
        );
    }
}

/** The checks, by name. */
export const checks = {
    'makes a key and verifies it, claims and all': async (call) => {
        const claims = { plan: 'pro', seats: 3, name: 'Zoë', deep: { list: [1, 2.5, null, true] } };
        const made = answerOf(
            await call(CREATE, { name: 'ü', subject: 'org_7', scopes: ['orders:read'], claims, ttl: '3600s' }),
        );
        const { id, expireTime } = made.apiKey;
        const key = { keyId: id, keyspace: 'default', subject: 'org_7', scopes: ['orders:read'] };
        const request = { key: made.secret, requiredScopes: ['orders:read'], cost: '1' };
        assert.deepEqual(answerOf(await call(VERIFY, request)), {
            valid: true,
            verdict: 'VERDICT_VALID',
            ...key,
            claims,
            expireTime,
        });
        assert.deepEqual(answerOf(await call(VERIFY, { ...request, requiredScopes: ['orders:write'] })), {
            verdict: 'VERDICT_INSUFFICIENT_SCOPE',
            ...key,
            missingScopes: ['orders:write'],
        });
    },

    'reads errors with their details': async (call) => {
        const error = errorOf(await call(CREATE, { subject: 'a b' }));
        assert.equal(error.code, 'InvalidArgument');
        assert.deepEqual(error.reasons, ['ERROR_REASON_FIELD_INVALID']);
        assert.deepEqual(error.fields.sort(), ['name', 'subject']);
        const unknown = errorOf(await call('ApiKeyService/GetApiKey', { id: 'key_00000000000000000000000000' }));
        assert.equal(unknown.code, 'NotFound');
        assert.deepEqual(unknown.reasons, ['ERROR_REASON_KEY_NOT_FOUND']);
    },

    // Who is refused at the head of a request must hear so, though the rest is still on its way.
    'hears that it has no credential': async (call) => {
        for (const length of [10, 100, 10_000, 900_000]) {
            const headers = { authorization: 'Bearer nobody' };
            const error = errorOf(await call(VERIFY, { key: 'x'.repeat(length) }, { headers }));
            assert.deepEqual(
                [error.code, ...error.reasons],
                ['Unauthenticated', 'ERROR_REASON_CREDENTIAL_INVALID'],
                `with a key of ${length} characters`,
            );
        }
    },

    'has as much time as it takes': async (call) => {
        const { verdict } = answerOf(await call(VERIFY, { key: 'x' }, { timeoutMs: 3_600_000 }));
        assert.equal(verdict, 'VERDICT_MALFORMED');
    },

    'gives up by its own clock': async (call, server) => {
        const ask = () => call(VERIFY, { key: 'x' }, { timeoutMs: 10 });
        const error = await server.whileSuspended(() => firstError(ask));
        assert.deepEqual([error.code, ...error.reasons], ['DeadlineExceeded']);
    },

    // The client itself would wait.
    'is told by the server that its time is over': async (call) => {
        const headers = { 'connect-timeout-ms': '1', 'grpc-timeout': '1m' };
        const ask = () => call('ApiKeyService/ListApiKeys', { keyspace: LARGE.id, pageSize: LARGE.keys }, { headers });
        const error = await firstError(ask);
        assert.deepEqual([error.code, ...error.reasons], ['DeadlineExceeded', 'ERROR_REASON_DEADLINE_EXCEEDED']);
    },

    'reads large answers': async (call) => {
        const read = new Set();
        let pageToken = '';
        // A page ends with its bytes, before it has as many keys as were asked for.
        do {
            const request = { keyspace: LARGE.id, pageSize: LARGE.keys, pageToken };
            const { apiKeys, totalSize, nextPageToken } = answerOf(await call('ApiKeyService/ListApiKeys', request));
            assert.equal(totalSize, `${LARGE.keys}`);
            if (read.size === 0) {
                assert.ok(JSON.stringify(apiKeys).length > 250_000);
            }
            apiKeys.forEach(({ id }) => read.add(id));
            pageToken = nextPageToken ?? '';
        } while (pageToken !== '');
        assert.equal(read.size, LARGE.keys);
    },
};

/** How many keys there are in `default`. */
export async function countKeys(call) {
    const { totalSize } = answerOf(await call('ApiKeyService/ListApiKeys', { includeInvalid: true }));
    return Number(totalSize ?? 0);
}

export function answerOf({ answer, error }) {
    assert.ok(answer, JSON.stringify(error));
    return answer;
}

export function errorOf({ answer, error }) {
    assert.ok(error, JSON.stringify(answer));
    return error;
}

/** The error that a call ends with whose time is short: now and then an answer is quicker, but not every time. */
async function firstError(ask) {
    for (let attempt = 0; attempt < 20; attempt += 1) {
        const { error } = await ask();
        if (error) return error;
    }
    assert.fail('no deadline ever ended a call');
}
