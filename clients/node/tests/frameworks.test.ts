import assert from 'node:assert/strict';
import { once } from 'node:events';
import { createServer, request, type Server as HttpServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { text } from 'node:stream/consumers';
import { after, before, beforeEach, describe, test } from 'node:test';
import express from 'express';
import { fastify } from 'fastify';
import { guard as expressGuard } from '../src/express.js';
import { guard as fastifyGuard } from '../src/fastify.js';
import { auth, protect } from '../src/fetch.js';
import { Portcullis, status } from '../src/index.js';
import { failure, Fake, valid, verdict } from './support/fake.js';
import { Log } from './support/log.js';
import { PATIENT_MS } from './support/portcullis.js';

const key = 'ak_secret';

let fake: Fake;
let client: Portcullis;
before(async () => {
    fake = await Fake.start();
    client = new Portcullis({ address: fake.address, rootKey: 'root_of_the_tests', timeoutMs: PATIENT_MS });
});
after(() => {
    client.close();
    fake.stop();
});
beforeEach(() => {
    fake.calls = [];
    fake.answer = valid;
});

interface Answer {
    status: number | undefined;
    headers: NodeJS.Dict<string | string[]>;
    body: string;
}

/** Sends every line of the headers as it is. */
async function get(server: HttpServer, path: string, ...lines: [name: string, value: string][]): Promise<Answer> {
    const { port } = server.address() as AddressInfo;
    const sent = request({ host: '127.0.0.1', port, path, headers: [['Host', 'a'], ...lines].flat() as never });
    sent.end();
    const [response] = await once(sent, 'response');
    return { status: response.statusCode, headers: response.headers, body: await text(response) };
}

/** What holds for Express and Fastify alike. */
function guardsRoutes(name: string, start: () => Promise<[HttpServer, stop: () => unknown]>): void {
    describe(name, () => {
        let server: HttpServer;
        let stop: () => unknown;
        before(async () => {
            [server, stop] = await start();
        });
        after(() => stop());

        test('a good key passes, with its identity', async () => {
            const answer = await get(server, '/guarded', ['X-API-Key', key]);
            assert.equal(answer.status, 200);
            assert.equal(JSON.parse(answer.body).userId, 'user_1');
            assert.equal(fake.calls[0]?.request.clientIp, '127.0.0.1');
        });

        test('a refusal is answered word for word', async () => {
            const answer = await get(server, '/guarded');
            assert.equal(answer.status, 401);
            assert.equal(answer.headers['content-type'], 'application/json');
            assert.equal(answer.headers['cache-control'], 'no-store');
            assert.equal(answer.headers['www-authenticate'], 'Bearer realm="api"');
            assert.equal(answer.headers['content-length'], `${Buffer.byteLength(answer.body)}`);
            assert.equal(JSON.parse(answer.body).error, 'missing_key');
        });

        test('no line of a header is dropped', async () => {
            for (const header of ['Authorization', 'X-API-Key']) {
                const answer = await get(server, '/guarded', [header, `Bearer ${key}`], [header, `Bearer ${key}`]);
                assert.equal(JSON.parse(answer.body).error, 'ambiguous_key');
            }
            assert.equal(fake.calls.length, 0);
        });

        test('the route may say where a request comes from', async () => {
            await get(server, '/behind', ['X-API-Key', key], ['X-From', '10.1.2.3']);
            assert.equal(fake.calls[0]?.request.clientIp, '10.1.2.3');
            assert.equal((await get(server, '/broken', ['X-API-Key', key])).status, 500);
        });
    });
}

const broken = () => {
    throw new Error('no address');
};

guardsRoutes('Express', async () => {
    const app = express();
    // Its own handler of errors logs them.
    app.set('env', 'test');
    app.get('/guarded', expressGuard({ keyspace: 'default', client }), (request, response) => {
        response.json(request.identity);
    });
    const clientIp = (request: { headers: NodeJS.Dict<string | string[]> }) => `${request.headers['x-from']}`;
    app.get('/behind', expressGuard({ keyspace: 'default', client, clientIp }), (request, response) => {
        response.json(request.identity);
    });
    app.get('/broken', expressGuard({ keyspace: 'default', client, clientIp: broken }), (request, response) => {
        response.json(request.identity);
    });
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return [server, () => server.close()];
});

guardsRoutes('Fastify', async () => {
    const app = fastify();
    app.get(
        '/guarded',
        { onRequest: fastifyGuard({ keyspace: 'default', client }) },
        async (request) => request.identity,
    );
    app.register(async (behind) => {
        behind.addHook(
            'onRequest',
            fastifyGuard({ keyspace: 'default', client, clientIp: (request) => `${request.headers['x-from']}` }),
        );
        behind.get('/behind', async (request) => request.identity);
    });
    app.get(
        '/broken',
        { onRequest: fastifyGuard({ keyspace: 'default', client, clientIp: broken }) },
        async () => 'reached',
    );
    await app.listen({ port: 0, host: '127.0.0.1' });
    return [app.server, () => app.close()];
});

test('the middleware of Express does for plain node:http, too', async (t) => {
    const guard = expressGuard({ keyspace: 'default', client });
    const server = createServer((request, response) => {
        void guard(request, response, () =>
            response.end((request as { identity?: { keyId: string } }).identity?.keyId),
        );
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    t.after(() => server.close());
    assert.equal((await get(server, '/', ['X-API-Key', key])).body, 'key_1');
    assert.equal(fake.calls[0]?.request.clientIp, '127.0.0.1');
});

test('a guard without a client and without a root key does not come to be', () => {
    const { PORTCULLIS_ROOT_KEY, ...rest } = process.env;
    process.env = rest;
    assert.throws(() => expressGuard({ keyspace: 'default' }), /PORTCULLIS_ROOT_KEY/);
    assert.throws(() => fastifyGuard({ keyspace: 'default' }), /PORTCULLIS_ROOT_KEY/);
});

test('a mistyped option is found out when the route is made', async () => {
    for (const wrong of [{ scope: ['a'] }, { scopes: undefined }, { clientIp: '10.1.2.3' }]) {
        const options = { keyspace: 'default', client, ...wrong } as never;
        assert.throws(() => expressGuard(options), TypeError);
        assert.throws(() => fastifyGuard(options), TypeError);
        assert.throws(() => protect(() => new Response(), options), TypeError);
    }
});

test('what a caller says of where it comes from is not sent on', async (t) => {
    const app = express();
    app.set('trust proxy', true);
    app.get('/', expressGuard({ keyspace: 'default', client }), (request, response) => {
        response.json(request.identity);
    });
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    t.after(() => server.close());
    for (const [said, sent] of [
        ['garbage', ''],
        ['1.2.3.4:5678', ''],
        ['[2001:db8::1]:443', ''],
        ['2001:db8::1', '2001:db8::1'],
    ] as const) {
        assert.equal((await get(server, '/', ['X-API-Key', key], ['X-Forwarded-For', said])).status, 200);
        assert.equal(fake.calls.pop()?.request.clientIp, sent);
    }
});

describe('fetch', () => {
    const keyed = () => new Request('http://api/', { headers: { authorization: `Bearer ${key}` } });

    test('auth makes nobody out of a mistyped option', async () => {
        for (const wrong of [{ scope: ['a'] }, { scopes: undefined }, { clientIp: () => '10.1.2.3' }]) {
            await assert.rejects(auth(keyed(), { keyspace: 'default', client, ...wrong } as never), TypeError);
        }
        assert.equal(fake.calls.length, 0);
    });

    test('a handler may be wrapped where there is no root key', async () => {
        delete process.env['PORTCULLIS_ROOT_KEY'];
        const handler = protect(() => new Response(), { keyspace: 'default' });
        await assert.rejects(handler(keyed()), /PORTCULLIS_ROOT_KEY/);
    });

    test('auth tells who it is', async () => {
        const who = await auth(keyed(), {
            acceptsToken: 'api_key',
            keyspace: 'default',
            client,
            scopes: ['orders:read'],
            clientIp: '10.1.2.3',
        });
        assert.equal(who.isAuthenticated, true);
        assert.equal(who.userId, 'user_1');
        assert.equal(who.orgId, null);
        assert.equal(who.refusal, null);
        assert.deepEqual(fake.calls[0]?.request.requiredScopes, ['orders:read']);
        assert.equal(fake.calls[0]?.request.clientIp, '10.1.2.3');
        assert.ok(!JSON.stringify(who).includes(key));
    });

    test('auth tells why it is nobody', async () => {
        const { isAuthenticated, refusal, ...rest } = await auth(new Request('http://api/'), {
            keyspace: 'default',
            client,
        });
        assert.equal(isAuthenticated, false);
        assert.equal(refusal?.code, 'missing_key');
        assert.equal(refusal.response().status, 401);
        assert.deepEqual(new Set(Object.values(rest)), new Set([null]));
    });

    test('auth refuses two lines of a header', async () => {
        const request = keyed();
        request.headers.append('authorization', `Bearer ${key}`);
        assert.equal((await auth(request, { keyspace: 'default', client })).refusal?.code, 'ambiguous_key');
    });

    test('auth accepts no other token', async () => {
        const options = { keyspace: 'default', client, acceptsToken: 'm2m_token' } as never;
        await assert.rejects(auth(keyed(), options), /acceptsToken/);
    });

    test('whoever is let through unverified is nobody', async () => {
        fake.answer = failure(status.UNAVAILABLE);
        const who = await auth(keyed(), {
            keyspace: 'default',
            client,
            dangerouslyAllowWhenUnavailable: true,
            logger: new Log(),
        });
        assert.equal(who.isAuthenticated, false);
        assert.equal(who.refusal, null);
        assert.equal(who.scopes, null);
    });

    test('protect calls the handler with who it is and with what the platform gives', async () => {
        const handler = protect(
            (request, { userId }, platform: { address: string }) => new Response(`${userId} ${platform.address}`),
            { keyspace: 'default', client, clientIp: (request, { address }) => address },
        );
        const answer = await handler(keyed(), { address: '10.1.2.3' });
        assert.equal(await answer.text(), 'user_1 10.1.2.3');
        assert.equal(fake.calls[0]?.request.clientIp, '10.1.2.3');
    });

    test('protect answers all others itself', async () => {
        fake.answer = verdict({ missingScopes: ['a'], verdict: 8 });
        const handler = protect(() => assert.fail('reached'), { keyspace: 'default', client });
        const answer = await handler(keyed());
        assert.equal(answer.status, 403);
        assert.deepEqual((await answer.json()) as object, {
            error: 'insufficient_scope',
            message: 'The API key lacks a scope that this needs.',
            missing_scopes: ['a'],
        });
    });
});
