// Pages: the clients of connect-web in Chromium, from an origin that may call and from one that may not.

import assert from 'node:assert/strict';
import { after, before, describe, it } from 'node:test';
import { createGrpcTransport } from '@connectrpc/connect-node';
import { call } from './call.js';
import { answerOf, checks, errorOf, fillLarge, countKeys } from './checks.js';
import { startChromium } from './chromium.js';
import { Portcullis } from './portcullis.js';
import { Site } from './site.js';
import { unasked } from './unasked.js';

const protocols = ['Connect in JSON', 'Connect in binary', 'Connect by GET where it may', 'gRPC-Web'];
const CREATE = 'ApiKeyService/CreateApiKey';
const VERIFY = 'VerificationService/Verify';
const newKey = { name: 'n', subject: 'user_1' };

const started = [];
let server, browser, allowed, stranger;
/** What pages asked the server for, as `METHOD URL`. */
const asked = [];

before(async () => {
    const sites = [await start(Site.start()), await start(Site.start())];
    server = await start(Portcullis.start([sites[0].origin]));
    await fillLarge(callFromOutside);
    browser = await start(startChromium());
    browser.context.on('request', (request) => {
        if (isToServer(request)) asked.push(`${request.method()} ${request.url()}`);
    });
    [allowed, stranger] = await Promise.all(sites.map(({ origin }) => open(origin)));
});
after(async () => {
    for (const one of started.reverse()) await one.stop();
});

async function start(starting) {
    const one = await starting;
    started.push(one);
    return one;
}

async function open(origin) {
    const page = await browser.context.newPage();
    await page.goto(origin);
    return page;
}

function isToServer(request) {
    return request.url().startsWith(server.address);
}

function credential() {
    return { authorization: `Bearer ${server.rootKey}` };
}

/** Calls by a client in a page. */
function callIn(page, protocol, method, request, { headers, ...options } = {}) {
    const all = { headers: { ...credential(), ...headers }, ...options };
    return page.evaluate((args) => globalThis.call(...args), [protocol, server.address, method, request, all]);
}

/** Calls by a program. */
function callFromOutside(method, request) {
    return call(createGrpcTransport({ baseUrl: server.address }), method, request, { headers: credential() });
}

for (const protocol of protocols) {
    describe(`a page that may call, by ${protocol}`, () => {
        const callByIt = (...rest) => callIn(allowed, protocol, ...rest);
        for (const [name, check] of Object.entries(checks)) {
            it(name, () => check(callByIt, server));
        }
    });

    it(`a page that may not call reads nothing and changes nothing by ${protocol}`, async () => {
        const { secret } = answerOf(await callFromOutside(CREATE, newKey));
        const keys = await countKeys(callFromOutside);
        for (const [method, request] of [
            [CREATE, newKey],
            [VERIFY, { key: secret }],
            ['ApiKeyService/ListApiKeys', {}],
        ]) {
            const error = errorOf(await callIn(stranger, protocol, method, request));
            assert.deepEqual(error, { code: 'Unknown', reasons: [], fields: [], headers: {} }, method);
        }
        assert.equal(await countKeys(callFromOutside), keys);
    });
}

it('a page sees what HTTP says of a refusal', async () => {
    const headers = { authorization: '' };
    const error = errorOf(await callIn(allowed, 'Connect in JSON', VERIFY, {}, { headers }));
    assert.equal(error.headers['www-authenticate'], 'Bearer');
});

for (const [name, [send, ...args]] of Object.entries(unasked)) {
    it(`no page changes anything unasked: ${name}`, async () => {
        const keys = await countKeys(callFromOutside);
        for (const [page, refusal] of [
            [allowed, 415],
            [stranger, 403],
        ]) {
            // As if the browser had learnt the root key and sent it of its own accord.
            await page.setExtraHTTPHeaders(credential());
            const url = `${server.address}/portcullis.v1.${CREATE}`;
            const [request, read] = await Promise.all([
                page.waitForRequest(isToServer),
                page.evaluate(send, [url, ...args]),
            ]);
            await page.setExtraHTTPHeaders({});
            assert.equal(read, '');
            const answer = await request.response();
            if (name === 'beacon of JSON') {
                // Beacons carry cookies, and those nobody may.
                assert.equal(answer, null);
            } else {
                assert.equal(answer.status(), refusal);
                const headers = await request.allHeaders();
                assert.equal(headers.authorization, credential().authorization);
                // That the server saw the origin is told by its refusals, which differ. The browser does not show it where it
                // keeps the response, JSON that the page did not ask for, from the page.
                assert.ok([undefined, new URL(page.url()).origin].includes(headers.origin));
            }
        }
        assert.equal(await countKeys(callFromOutside), keys);
    });
}

it('no page puts a key into an address', () => {
    assert.ok(asked.length > 0);
    for (const request of asked) {
        assert.match(request, /^POST http:\/\/127\.0\.0\.1:\d+\/portcullis\.v1\.\w+\/\w+$/);
    }
});
