import assert from 'node:assert/strict';
import { readFileSync } from 'node:fs';
import { afterEach, beforeEach, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { inspect } from 'node:util';
import {
    ANY_KEYSPACE,
    Guard,
    type GuardOptions,
    type Identity,
    Portcullis,
    Refusal,
    status,
    Verdict,
} from '../src/index.js';
import { failure, failureOf, Fake, NOT_SERVING, SERVING, silence, verdict } from './support/fake.js';
import { Log } from './support/log.js';
import { PATIENT_MS } from './support/portcullis.js';

const key = 'ak_secret';
const headers = { authorization: [`Bearer ${key}`], apiKey: [] };

let fake: Fake;
let client: Portcullis;
let log: Log;
beforeEach(async () => {
    fake = await Fake.start();
    client = new Portcullis({ address: fake.address, rootKey: 'root_of_the_tests', timeoutMs: PATIENT_MS });
    log = new Log();
});
afterEach(() => {
    client.close();
    fake.stop();
    assert.ok(!inspect(log).includes(key));
});

function check(options: Partial<GuardOptions> = {}, clientIp?: string): Promise<Identity | Refusal> {
    return new Guard({ keyspace: 'default', client, logger: log, ...options }).check(headers, clientIp);
}

async function refusal(options?: Partial<GuardOptions>): Promise<Refusal> {
    const outcome = await check(options);
    assert.ok(outcome instanceof Refusal);
    return outcome;
}

test('one call asks all that the guard demands', async () => {
    await check({ scopes: ['a'], anyOfScopes: ['b', 'c'], keyspace: 'prod', cost: 0 }, '10.0.0.1');
    assert.deepEqual(
        fake.calls.map(({ request }) => request),
        [{ key, requiredScopes: ['a'], anyOfScopes: ['b', 'c'], keyspace: 'prod', clientIp: '10.0.0.1', cost: 0n }],
    );
});

test('what the guard does not demand is not asked', async () => {
    await check({ keyspace: ANY_KEYSPACE });
    assert.deepEqual(fake.calls[0]?.request, {
        key,
        requiredScopes: [],
        anyOfScopes: [],
        keyspace: '',
        clientIp: '',
        cost: undefined,
    });
});

test('what is no IP address is no address', async () => {
    const none = [
        '',
        'garbage',
        '1.2.3.4:5678',
        '[2001:db8::1]:443',
        '[2001:db8::1]',
        '1.2.3.4, 5.6.7.8',
        ' 1.2.3.4',
        '1.2.3.4%x',
    ];
    for (const clientIp of [...none, undefined, ['1.2.3.4'] as never]) {
        await check({}, clientIp);
        assert.equal(fake.calls.pop()?.request.clientIp, '', inspect(clientIp));
    }
    for (const clientIp of ['10.1.2.3', '2001:db8::1', '::ffff:10.1.2.3']) {
        await check({}, clientIp);
        assert.equal(fake.calls.pop()?.request.clientIp, clientIp);
    }
    assert.deepEqual(log.errors, []);
});

test('a zone is no part of an address', async () => {
    await check({}, 'fe80::1%eth0');
    assert.equal(fake.calls[0]?.request.clientIp, 'fe80::1');
});

test('what is no key is not asked about', async () => {
    const guard = new Guard({ keyspace: 'default', client });
    for (const apiKey of [[], ['a', 'b'], ['x'.repeat(513)]]) {
        assert.ok((await guard.check({ authorization: [], apiKey }, undefined)) instanceof Refusal);
    }
    assert.equal(fake.calls.length, 0);
});

test('the identity is all that Verify says, and JSON can write it', async () => {
    const time = new Date('2030-01-02T03:04:05.678Z');
    fake.answer = verdict({
        valid: true,
        verdict: Verdict.VALID,
        keyId: 'key_1',
        keyspace: 'prod',
        subject: 'org_7',
        scopes: ['a', 'b'],
        claims: { plan: 'pro' },
        expireTime: time,
        rateLimit: { name: 'daily', limit: 1_000_000_000n, remaining: 7n, resetTime: time },
        creditsRemaining: 10n ** 15n,
    });
    const identity = await check();
    assert.deepEqual(identity, {
        authenticated: true,
        keyId: 'key_1',
        keyspace: 'prod',
        subject: 'org_7',
        userId: null,
        orgId: 'org_7',
        scopes: ['a', 'b'],
        claims: { plan: 'pro' },
        expireTime: time,
        rateLimit: { name: 'daily', limit: 1_000_000_000, remaining: 7, resetTime: time },
        creditsRemaining: 1e15,
    });
    assert.ok(!JSON.stringify(identity).includes(key));
});

test('valid opens, whatever the verdict; nothing else does', async () => {
    fake.answer = verdict({ valid: true, verdict: 99 as Verdict });
    assert.ok(!((await check()) instanceof Refusal));
    for (const denied of [Verdict.UNSPECIFIED, Verdict.VALID, 99 as Verdict]) {
        fake.answer = verdict({ valid: false, verdict: denied });
        assert.equal((await refusal()).code, 'denied');
    }
});

test('every refusal is as the table of all languages says', async () => {
    const table = JSON.parse(readFileSync('../conformance/refusals.json', 'utf8'));
    const seen = new Map<string, Refusal>();
    for (const verdictOf of Object.values(Verdict)) {
        fake.answer = verdict({
            verdict: verdictOf,
            missingScopes: verdictOf === Verdict.INSUFFICIENT_SCOPE ? ['a:b', 'c'] : [],
        });
        const found = await refusal();
        seen.set(found.code, found);
    }
    fake.answer = failure(status.INTERNAL);
    seen.set('unavailable', await refusal());
    for (const apiKey of [[], ['a', 'b']]) {
        const found = await new Guard({ keyspace: 'default', client }).check({ authorization: [], apiKey }, undefined);
        assert.ok(found instanceof Refusal);
        seen.set(found.code, found);
    }

    assert.deepEqual([...seen.keys()].sort(), Object.keys(table).sort());
    for (const [code, { status, message, challenge, retry_after }] of Object.entries<any>(table)) {
        const found = seen.get(code);
        const missing_scopes = code === 'insufficient_scope' ? ['a:b', 'c'] : undefined;
        assert.ok(found);
        assert.equal(found.status, status);
        assert.deepEqual(JSON.parse(found.body), {
            error: code,
            message,
            ...(missing_scopes && { missing_scopes }),
        });
        assert.equal(found.headers['www-authenticate'], challenge?.replace('${missing_scopes}', 'a:b c'));
        assert.equal(found.headers['retry-after'] !== undefined, retry_after !== undefined);
        assert.equal(found.headers['content-type'], 'application/json');
        assert.equal(found.headers['cache-control'], 'no-store');

        const response = found.response();
        assert.equal(response.status, status);
        assert.equal(await response.text(), found.body);
    }
});

test('Retry-After is when the next use is there, in whole seconds', async () => {
    const now = Date.now();
    fake.answer = verdict({ verdict: Verdict.RATE_LIMITED, rateLimit: { retryTime: new Date(now + 600_400) } });
    const seconds = Number((await refusal()).headers['retry-after']);
    const passed = Math.ceil((Date.now() - now) / 1000);
    assert.ok(Number.isInteger(seconds) && seconds <= 601 && seconds >= 601 - passed, `${seconds}`);

    for (const rateLimit of [undefined, {}, { retryTime: new Date(now - 5000) }]) {
        fake.answer = verdict({ verdict: Verdict.RATE_LIMITED, ...(rateLimit && { rateLimit }) });
        assert.equal((await refusal()).headers['retry-after'], '1');
    }
});

const delays: [delay: { seconds?: bigint; nanos?: number } | undefined, expected: string][] = [
    [undefined, '1'],
    [{}, '1'],
    [{ nanos: 200_000_000 }, '1'],
    [{ seconds: 2n }, '2'],
    [{ seconds: 2n, nanos: 1 }, '3'],
    [{ seconds: 3600n }, '60'],
    [{ seconds: -5n }, '1'],
];
for (const [delay, expected] of delays) {
    test(`Retry-After of an unavailable is ${expected} for ${inspect(delay)}`, async () => {
        fake.answer = failure(status.RESOURCE_EXHAUSTED, delay);
        const { code, headers } = await refusal();
        assert.equal(code, 'unavailable');
        assert.equal(headers['retry-after'], expected);
    });
}

for (const [name, code] of Object.entries(status).filter(([, code]) => typeof code === 'number' && code !== 0)) {
    // A deadline does so only while Portcullis is not ready.
    const opens = code === status.UNAVAILABLE;
    test(`${name} ${opens ? 'opens' : 'stays closed'} where that is allowed, and closes elsewhere`, async () => {
        fake.answer = failure(code as status);
        assert.equal((await refusal()).code, 'unavailable');
        assert.equal(log.errors.length, 1);
        assert.ok(log.errors[0]?.includes(name));

        const outcome = await check({ dangerouslyAllowWhenUnavailable: true });
        assert.equal(outcome instanceof Refusal, !opens);
        assert.equal(log.warnings.length, opens ? 1 : 0);
        if (!(outcome instanceof Refusal)) {
            assert.equal(outcome.authenticated, false);
            assert.equal(outcome.keyId, null);
        }
    });
}

test('no answer in time is unavailable', async () => {
    fake.answer = silence;
    const hasty = new Portcullis({ address: fake.address, rootKey: 'root_of_the_tests', timeoutMs: 50 });
    assert.equal((await refusal({ client: hasty })).code, 'unavailable');
    assert.match(log.errors[0] ?? '', /DEADLINE_EXCEEDED/);
    fake.readiness = SERVING;
    assert.ok(await staysClosed(hasty, fake));
    fake.readiness = NOT_SERVING;
    assert.ok(await opensInTime(hasty));
    fake.readiness = SERVING;
    while (await isOpen(hasty)) {
        // It closes again.
    }
    hasty.close();
});

async function isOpen(client: Portcullis): Promise<boolean> {
    const outcome = await check({ client, dangerouslyAllowWhenUnavailable: true });
    assert.ok(outcome instanceof Refusal ? outcome.code === 'unavailable' : !outcome.authenticated);
    return !(outcome instanceof Refusal);
}

async function opensInTime(client: Portcullis): Promise<boolean> {
    for (const end = Date.now() + PATIENT_MS; Date.now() < end; await setTimeout(10)) {
        if (await isOpen(client)) {
            return true;
        }
    }
    return false;
}

/** Asks until each of some fakes was asked about its health twice. */
async function staysClosed(client: Portcullis, ...asked: Fake[]): Promise<boolean> {
    const end = Date.now() + PATIENT_MS;
    while (asked.some(({ healthCalls }) => healthCalls.length < 2)) {
        if ((await isOpen(client)) || Date.now() > end) {
            return false;
        }
        await setTimeout(10);
    }
    return !(await isOpen(client));
}

test('UNAVAILABLE by something between opens at once', async () => {
    fake.answer = failureOf('proxy.example', status.UNAVAILABLE);
    fake.readiness = SERVING;
    assert.ok(await isOpen(client));
    assert.equal(fake.healthCalls.length, 0);
});

for (const code of [status.UNAVAILABLE, status.DEADLINE_EXCEEDED]) {
    for (const readiness of [NOT_SERVING, 'silent'] as const) {
        test(`${status[code]} by Portcullis opens while readiness is ${inspect(readiness)}`, async () => {
            fake.answer = failureOf('portcullis.v1', code);
            fake.readiness = readiness;
            assert.ok(!(await isOpen(client)), 'before health has answered');
            assert.ok(await opensInTime(client));
            assert.ok(fake.healthCalls.every((metadata) => metadata.get('authorization').length === 0));
        });
    }

    test(`${status[code]} by Portcullis opens nothing while one replica of two is ready`, async () => {
        const other = await Fake.start();
        const both = new Portcullis({
            address: [other.address, fake.address],
            rootKey: 'root_of_the_tests',
            timeoutMs: PATIENT_MS,
        });
        fake.answer = other.answer = failureOf('portcullis.v1', code);
        fake.readiness = SERVING;
        other.readiness = NOT_SERVING;
        assert.ok(await staysClosed(both, fake, other));
        both.close();
        other.stop();
    });

    test(`${status[code]} by Portcullis opens nothing without a health service`, async () => {
        fake.answer = failureOf('portcullis.v1', code);
        assert.ok(await staysClosed(client, fake));
    });
}

test('other errors ask for no health, nor does a guard that never opens', async () => {
    fake.readiness = NOT_SERVING;
    for (const code of [status.RESOURCE_EXHAUSTED, status.INTERNAL]) {
        fake.answer = failureOf('portcullis.v1', code);
        assert.ok(!(await isOpen(client)) && !(await isOpen(client)));
    }
    fake.answer = failureOf('portcullis.v1', status.DEADLINE_EXCEEDED);
    await refusal();
    assert.equal(fake.healthCalls.length, 0);
});

test('a closed client closes', async () => {
    client.close();
    assert.equal((await refusal({ dangerouslyAllowWhenUnavailable: true })).code, 'unavailable');
    assert.equal(log.errors.length, 1);
});

test('a realm is quoted, and cannot end the header', async () => {
    fake.answer = verdict({ verdict: Verdict.REVOKED });
    const challenge = (await refusal({ realm: 'my "own" \\ api' })).headers['www-authenticate'];
    assert.match(challenge ?? '', /^Bearer realm="my \\"own\\" \\\\ api", error="invalid_token"/);
});

test('missing scopes are quoted, too', async () => {
    const missingScopes = ['a"b', 'c\\d'];
    fake.answer = verdict({ verdict: Verdict.INSUFFICIENT_SCOPE, missingScopes });
    const { headers, body } = await refusal();
    assert.ok(headers['www-authenticate']?.endsWith(', scope="a\\"b c\\\\d"'), headers['www-authenticate']);
    assert.deepEqual(JSON.parse(body).missing_scopes, missingScopes);
});

test('missing scopes are left out where there are none, and of other refusals', async () => {
    fake.answer = verdict({ verdict: Verdict.INSUFFICIENT_SCOPE });
    const none = await refusal();
    fake.answer = verdict({ verdict: Verdict.REVOKED, missingScopes: ['a'] });
    for (const { headers, body } of [none, await refusal()]) {
        assert.ok(!headers['www-authenticate']?.includes('scope="'));
        assert.ok(!body.includes('missing_scopes'));
    }
});

const refused: [what: string, options: object][] = [
    ['a name that there is not', { scope: ['a'] }],
    ['a name that there is not, inherited', Object.create({ scope: ['a'] })],
    ['a name that every object has', { toString: ['a'] }],
    ['an option of the frameworks', { clientIp: () => '10.1.2.3' }],
    ['no scopes', { scopes: undefined }],
    ['no scopes of which to have one', { anyOfScopes: undefined }],
    ['no keyspace', { keyspace: undefined }],
    ['no cost', { cost: undefined }],
    ['null for scopes', { scopes: null }],
    ['a scope that is no list', { scopes: 'orders:read' }],
    ['a scope that is no text', { anyOfScopes: [7] }],
    ['a cost that is no number', { cost: '5' }],
    ['a cost below zero', { cost: -1 }],
    ['half a credit', { cost: 0.5 }],
    ['a cost beyond all', { cost: 1_000_000_001 }],
    ['opening by accident', { dangerouslyAllowWhenUnavailable: 'false' }],
    ['opening by a number', { dangerouslyAllowWhenUnavailable: 1 }],
    ['an empty realm', { realm: '' }],
    ['a realm that ends the header', { realm: 'a\r\nb' }],
    ['a realm beyond ASCII', { realm: 'caf\u00e9' }],
];
for (const [what, options] of refused) {
    test(`a guard with ${what} does not come to be`, () => {
        // Not by spreading: that makes inherited options own ones, or loses them.
        const keyspace = 'keyspace' in options ? options.keyspace : 'default';
        assert.throws(() => new Guard(Object.assign(options, { keyspace, client }) as never), TypeError);
    });
}

test('options may be inherited', async () => {
    await new Guard(Object.create({ keyspace: 'default', client, scopes: ['a'] })).check(headers, undefined);
    assert.deepEqual(fake.calls[0]?.request.requiredScopes, ['a']);
});
