import assert from 'node:assert/strict';
import { promises } from 'node:dns';
import { once } from 'node:events';
import { afterEach, beforeEach, describe, test } from 'node:test';
import { setTimeout as sleep } from 'node:timers/promises';
import { inspect } from 'node:util';
import { ErrorInfo, errorDetail, Portcullis, type PortcullisOptions, status } from '../src/index.js';
import { failure, Fake, silence, valid } from './support/fake.js';
import { PATIENT_MS, Server } from './support/portcullis.js';

const rootKey = 'root_of_the_tests';

describe('the options', () => {
    const { PORTCULLIS_SERVER, PORTCULLIS_ROOT_KEY, ...rest } = process.env;
    beforeEach(() => {
        process.env = { ...rest };
    });
    afterEach(() => {
        process.env = { ...rest };
    });

    test('there must be a root key', () => {
        assert.throws(() => new Portcullis(), { name: 'TypeError', message: /PORTCULLIS_ROOT_KEY/ });
        process.env['PORTCULLIS_ROOT_KEY'] = '';
        assert.throws(() => new Portcullis(), { message: /PORTCULLIS_ROOT_KEY/ });
        process.env['PORTCULLIS_ROOT_KEY'] = rootKey;
        new Portcullis().close();
    });

    test('an empty root key does not give way to the one of the environment', () => {
        process.env['PORTCULLIS_ROOT_KEY'] = rootKey;
        for (const empty of ['', ' \n']) {
            assert.throws(() => new Portcullis({ rootKey: empty }), { name: 'TypeError', message: /root key/ });
        }
    });

    test('a root key that cannot be sent is not shown', () => {
        assert.throws(
            () => new Portcullis({ rootKey: `${rootKey}\n${rootKey}` }),
            (error: Error) => {
                assert.match(error.message, /root key/);
                assert.ok(!inspect(error).includes(rootKey));
                return true;
            },
        );
    });

    test('an address that is wrong is told by its number', () => {
        const address = ['https://a.example.com:1', rootKey];
        assert.throws(() => new Portcullis({ rootKey, address }), /Address 2 /);
        const remote = ['http://localhost:1', 'http://127.0.0.1:1', 'http://a.example.com:1'];
        assert.throws(() => new Portcullis({ rootKey, address: remote }), /Address 3 /);
    });

    const refused: [what: string, options: PortcullisOptions][] = [
        ['plaintext to another machine', { address: 'http://db.example.com:50051' }],
        ['plaintext to one other machine', { address: ['http://127.0.0.1:1', 'http://10.0.0.1:1'] }],
        ['a name that begins like loopback', { address: 'http://127.0.0.1.example.com:1' }],
        ['both schemes', { address: ['http://127.0.0.1:1', 'https://127.0.0.1:1'] }],
        ['no address', { address: [] }],
        ['no scheme', { address: '127.0.0.1:50051' }],
        ['a target of gRPC', { address: 'dns:///127.0.0.1:50051' }],
        ['another scheme', { address: 'ftp://127.0.0.1:50051' }],
        ['a path', { address: 'http://127.0.0.1:50051/v1' }],
        ['a user', { address: `http://${rootKey}@127.0.0.1:50051` }],
        ['a secret for an address', { address: rootKey }],
        ['no port', { address: 'https://db.example.com' }],
        ['port 0', { address: 'http://127.0.0.1:0' }],
        ['a port beyond all', { address: 'http://127.0.0.1:65536' }],
        ['a short form of loopback', { address: 'http://127.1:1' }],
        ['loopback as one number', { address: 'http://2130706433:1' }],
        ['all addresses of this machine', { address: 'http://0.0.0.0:1' }],
        ['loopback of IPv4 within IPv6', { address: 'http://[::ffff:127.0.0.1]:1' }],
        ['an empty address', { address: '' }],
        ['no time', { timeoutMs: 0 }],
        ['less than no time', { timeoutMs: -1 }],
        ['more than a day', { timeoutMs: 86_400_001 }],
        ['forever', { timeoutMs: Infinity }],
        ['a time that is no number', { timeoutMs: NaN }],
        ['an option that there is not', { timeout: 5 } as PortcullisOptions],
        ['plaintext by accident', { allowPlaintext: 'false' } as never],
        ['options that are none', rootKey as PortcullisOptions],
    ];
    for (const [what, options] of refused) {
        test(`${what} is refused`, () => {
            assert.throws(
                () => new Portcullis({ rootKey, ...options }),
                (error: Error) => {
                    assert.ok(error instanceof TypeError);
                    assert.ok(!inspect(error).includes(rootKey));
                    return true;
                },
            );
        });
    }

    test('plaintext is fine to this machine, and where it is allowed', () => {
        for (const address of [
            'http://localhost:80',
            'HTTP://LocalHost:1',
            'http://127.8.9.1:1',
            'http://[::1]:1',
            'https://example.com:443',
        ]) {
            new Portcullis({ rootKey, address }).close();
        }
        new Portcullis({ rootKey, address: 'http://db.example.com:50051', allowPlaintext: true }).close();
    });

    test('a target of gRPC is told what to write', () => {
        const client = () => new Portcullis({ rootKey, address: 'dns:///127.0.0.1:50051' });
        assert.throws(client, /write http:\/\/HOST:PORT or https:\/\/HOST:PORT/);
    });

    test('the environment may allow plaintext', () => {
        const client = (options = {}) => new Portcullis({ rootKey, address: 'http://10.0.0.1:1', ...options });
        for (const value of ['true', '1', 'yes', 'on']) {
            process.env['PORTCULLIS_ALLOW_PLAINTEXT'] = value;
            client().close();
            assert.throws(() => client({ allowPlaintext: false }), /PORTCULLIS_ALLOW_PLAINTEXT=true/);
        }
        for (const value of ['false', '0', 'no', 'off', '']) {
            process.env['PORTCULLIS_ALLOW_PLAINTEXT'] = value;
            assert.throws(() => client(), /to another machine/);
            client({ allowPlaintext: true }).close();
        }
        process.env['PORTCULLIS_ALLOW_PLAINTEXT'] = 'please';
        assert.throws(() => client(), /PORTCULLIS_ALLOW_PLAINTEXT must be true or false; is "please"/);
    });

    test('the environment says where', async (t) => {
        const fake = await Fake.start();
        t.after(() => fake.stop());
        process.env['PORTCULLIS_SERVER'] = fake.address;
        process.env['PORTCULLIS_ROOT_KEY'] = rootKey;
        const client = new Portcullis({ timeoutMs: PATIENT_MS });
        await everyOneIsAsked(client, [fake]);
        client.close();
    });

    test('blanks and line ends around a root key are none of it', async (t) => {
        const fake = await Fake.start();
        t.after(() => fake.stop());
        const around = ` ${rootKey}\r\n`;
        process.env['PORTCULLIS_ROOT_KEY'] = around;
        for (const options of [{}, { rootKey: around }]) {
            const client = new Portcullis({ address: fake.address, timeoutMs: PATIENT_MS, ...options });
            await client.verification.verify({ key: 'ak_1' });
            client.close();
            assert.deepEqual(fake.calls.pop()?.metadata.get('authorization'), [`Bearer ${rootKey}`]);
        }
    });

    test('an empty PORTCULLIS_SERVER is none', () => {
        process.env['PORTCULLIS_SERVER'] = '';
        new Portcullis({ rootKey }).close();
    });

    test('a proxy does not get plaintext', async (t) => {
        const fake = await Fake.start();
        t.after(() => fake.stop());
        for (const name of ['http_proxy', 'https_proxy', 'grpc_proxy']) {
            // Nobody is there.
            process.env[name] = 'http://127.0.0.1:1';
        }
        const client = new Portcullis({ address: fake.address, rootKey, timeoutMs: PATIENT_MS });
        t.after(() => client.close());
        await client.verification.verify({ key: 'ak_1' });
    });
});

describe('calls', () => {
    let fake: Fake;
    let client: Portcullis;
    beforeEach(async () => {
        fake = await Fake.start();
        client = new Portcullis({ address: fake.address, rootKey, timeoutMs: PATIENT_MS });
    });
    afterEach(() => {
        client.close();
        fake.stop();
    });

    test('the root key is sent, and shown nowhere', async () => {
        await client.verification.verify({ key: 'ak_1' });
        assert.deepEqual(fake.calls[0]?.metadata.get('authorization'), [`Bearer ${rootKey}`]);
        assert.ok(!inspect(client, { depth: Infinity, showHidden: true }).includes(rootKey));
        assert.ok(!`${client}${JSON.stringify(client)}`.includes(rootKey));

        fake.answer = failure(status.INTERNAL);
        await assert.rejects(client.verification.verify({ key: 'ak_secret' }), (error) => {
            const shown = inspect(error, { depth: Infinity, showHidden: true });
            return !shown.includes(rootKey) && !shown.includes('ak_secret');
        });
    });

    test('UNAVAILABLE is tried again, four times in all', async () => {
        const unavailable = failure(status.UNAVAILABLE);
        fake.answer = (call, callback) => (fake.calls.length < 4 ? unavailable : valid)(call, callback);
        assert.equal((await client.verification.verify({ key: 'ak_1' })).valid, true);
        assert.equal(fake.calls.length, 4);

        fake.calls = [];
        fake.answer = unavailable;
        await assert.rejects(client.verification.verify({ key: 'ak_1' }), { code: status.UNAVAILABLE });
        assert.equal(fake.calls.length, 4);
    });

    for (const code of [status.UNAUTHENTICATED, status.RESOURCE_EXHAUSTED, status.DEADLINE_EXCEEDED, status.INTERNAL]) {
        test(`${status[code]} is not tried again`, async () => {
            fake.answer = failure(code);
            await assert.rejects(client.verification.verify({ key: 'ak_1' }), { code });
            assert.equal(fake.calls.length, 1);
        });
    }

    test('a call without an answer ends, and its own deadline wins', async () => {
        const hasty = new Portcullis({ address: fake.address, rootKey, timeoutMs: 50 });
        fake.answer = silence;
        await assert.rejects(hasty.verification.verify({ key: 'ak_1' }), { code: status.DEADLINE_EXCEEDED });
        await assert.rejects(client.verification.verify({ key: 'ak_1' }, { deadline: Date.now() + 50 }), {
            code: status.DEADLINE_EXCEEDED,
        });

        fake.answer = (call, callback) => void sleep(200).then(() => valid(call, callback));
        await hasty.verification.verify({ key: 'ak_1' }, { deadline: Date.now() + PATIENT_MS });
        hasty.close();
    });

    test('a call says when it must have ended', async () => {
        const usual = new Portcullis({ address: fake.address, rootKey });
        const left: number[] = [];
        fake.answer = (call, callback) => {
            left.push(Number(call.getDeadline()) - Date.now());
            valid(call, callback);
        };
        // A slow machine may take more than a second to get there.
        while (left.length === 0) {
            await usual.verification.verify({ key: 'ak_1' }).catch(() => {});
        }
        usual.close();
        assert.ok(Math.max(...left) <= 1000, `${left}`);
    });

    test('a closed client calls nobody', async () => {
        client.close();
        await assert.rejects(client.verification.verify({ key: 'ak_1' }));
        assert.equal(fake.calls.length, 0);
    });
});

describe('replicas', () => {
    test('calls are spread, and go on when one goes', async (t) => {
        const fakes = [await Fake.start(), await Fake.start()];
        t.after(() => fakes.forEach((fake) => fake.stop()));
        // A name among them, and one that cannot be looked up.
        const address = [
            ...fakes.map((fake, index) =>
                index === 0 ? fake.address.replace('127.0.0.1', 'localhost') : fake.address,
            ),
            'http://replica.invalid:50051',
        ];
        const client = new Portcullis({ address, rootKey, allowPlaintext: true, timeoutMs: PATIENT_MS });
        await everyOneIsAsked(client, fakes);

        fakes[0]?.stop();
        for (let count = 0; count < 20; count += 1) {
            await client.verification.verify({ key: 'ak_1' });
        }
        client.close();
    });

    test('one that comes back is asked again, though another answers', async (t) => {
        const fakes = [await Fake.start(), await Fake.start()];
        t.after(() => fakes.forEach((fake) => fake.stop()));
        const client = new Portcullis({ address: fakes.map(({ address }) => address), rootKey, timeoutMs: PATIENT_MS });
        t.after(() => client.close());
        await everyOneIsAsked(client, fakes);

        const [, gone] = fakes;
        gone?.stop();
        await client.verification.verify({ key: 'ak_1' });
        const back = await Fake.start(gone?.address);
        fakes.push(back);
        await everyOneIsAsked(client, [back]);
    });
});

describe('names', () => {
    test('one that cannot be looked up at first is tried again', async (t) => {
        const fakes = [await Fake.start(), await Fake.start()];
        t.after(() => fakes.forEach((fake) => fake.stop()));
        let asked = 0;
        t.mock.method(promises, 'lookup', async () => {
            asked += 1;
            if (asked === 1) {
                throw new Error('not yet');
            }
            return [{ address: '127.0.0.1', family: 4 }];
        });
        const [known, late] = fakes.map(({ address }) => address);
        const client = new Portcullis({
            address: [known ?? '', late?.replace('127.0.0.1', 'late.example.com') ?? ''],
            rootKey,
            allowPlaintext: true,
            timeoutMs: PATIENT_MS,
        });
        t.after(() => client.close());
        await everyOneIsAsked(client, fakes);
    });

    test('none that can be looked up is unavailable', async (t) => {
        t.mock.method(promises, 'lookup', () => Promise.reject(new Error('no such name')));
        const client = new Portcullis({
            address: ['https://a.example.com:1', 'https://b.example.com:1'],
            rootKey,
            timeoutMs: PATIENT_MS,
        });
        t.after(() => client.close());
        await assert.rejects(client.verification.verify({ key: 'ak_1' }), { code: status.UNAVAILABLE });
    });
});

describe('a real server', () => {
    let server: Server;
    let client: Portcullis;
    beforeEach(async () => {
        server = await Server.start();
        client = server.client();
    });
    afterEach(async () => {
        client.close();
        await server.stop();
    });

    test('has every service', async () => {
        const { apiKey, secret } = await client.apiKeys.createApiKey({
            name: 'first',
            subject: 'org_7',
            claims: { plan: 'pro', seats: 3, nested: { beta: true, list: [null, 'x'] } },
        });
        const response = await client.verification.verify({ key: secret, cost: 3 });
        assert.equal(response.valid, true);
        assert.equal(response.keyId, apiKey?.id);
        assert.deepEqual(response.claims, { plan: 'pro', seats: 3, nested: { beta: true, list: [null, 'x'] } });

        assert.equal((await client.keyspaces.getKeyspace({ id: 'default' })).keyspace?.id, 'default');
        assert.notEqual((await client.audit.listAuditEvents({})).auditEvents.length, 0);
        await client.usage.queryUsage({});
        await client.replicas.listReplicas({});
    });

    test('answers a stream', async () => {
        const stream = client.verification.verifyStream();
        stream.write({ correlationId: 'mine', request: { key: 'hello' } });
        const [answer] = await once(stream, 'data');
        assert.equal(answer.correlationId, 'mine');
        assert.equal(answer.response.valid, false);
        const ended = once(stream, 'end');
        stream.end();
        stream.resume();
        await ended;
    });

    test('tells why a call failed', async () => {
        const error = await client.apiKeys.getApiKey({ id: `key_${'0'.repeat(26)}` }).catch((error: unknown) => error);
        assert.equal(errorDetail(error, ErrorInfo)?.reason, 'ERROR_REASON_KEY_NOT_FOUND');
        assert.equal(errorDetail(new Error('of another kind'), ErrorInfo), undefined);
        assert.equal(errorDetail(undefined, ErrorInfo), undefined);
    });
});

async function everyOneIsAsked(client: Portcullis, fakes: Fake[]): Promise<void> {
    while (fakes.some(({ calls }) => calls.length === 0)) {
        await client.verification.verify({ key: 'ak_1' });
    }
}
