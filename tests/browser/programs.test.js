// Programs: the clients of connect-node, over HTTP/1.1 and HTTP/2.

import assert from 'node:assert/strict';
import { subscribe } from 'node:diagnostics_channel';
import { after, before, describe, it } from 'node:test';
import { createClient } from '@connectrpc/connect';
import { createConnectTransport, createGrpcTransport, createGrpcWebTransport } from '@connectrpc/connect-node';
import { call } from './call.js';
import { checks, fillLarge } from './checks.js';
import { VerificationService } from './generated/portcullis/v1/verification_service_pb.js';
import { Portcullis } from './portcullis.js';

const overHttp = {
    'Connect in JSON': (options) => createConnectTransport({ ...options, useBinaryFormat: false }),
    'Connect in binary': (options) => createConnectTransport(options),
    'Connect by GET where it may': (options) => createConnectTransport({ ...options, useHttpGet: true }),
    'gRPC-Web': (options) => createGrpcWebTransport(options),
};

let server;
/** What is asked over HTTP/1.1, as `METHOD PATH`. */
const asked = [];
subscribe('http.client.request.start', ({ request }) => asked.push(`${request.method} ${request.path}`));

/** Calls by the client with this transport. */
function callsBy(createTransport, httpVersion) {
    let transport;
    return (method, request, { headers, ...options } = {}) => {
        transport ??= createTransport({ baseUrl: server.address, httpVersion });
        return call(transport, method, request, { headers: { ...credential(), ...headers }, ...options });
    };
}

function credential() {
    return { authorization: `Bearer ${server.rootKey}` };
}

before(async () => {
    server = await Portcullis.start();
    await fillLarge(callsBy(createGrpcTransport, '2'));
});
after(() => server?.stop());

for (const httpVersion of ['1.1', '2']) {
    const transports = httpVersion === '2' ? { ...overHttp, gRPC: createGrpcTransport } : overHttp;
    for (const [protocol, createTransport] of Object.entries(transports)) {
        describe(`a program by ${protocol} over HTTP/${httpVersion}`, () => {
            const callByIt = callsBy(createTransport, httpVersion);
            for (const [name, check] of Object.entries(checks)) {
                it(name, () => check(callByIt, server));
            }
        });
    }
}

it('a program verifies by a stream over gRPC, each answer as soon as it is there', async () => {
    const client = createClient(VerificationService, createGrpcTransport({ baseUrl: server.address }));
    let firstAnswered;
    const answered = new Promise((resolve) => (firstAnswered = resolve));
    async function* questions() {
        yield { correlationId: 'a', request: { key: 'x' } };
        await answered;
        yield { correlationId: 'b', request: { key: 'y' } };
    }
    const answers = [];
    for await (const { correlationId } of client.verifyStream(questions(), { headers: credential() })) {
        answers.push(correlationId);
        firstAnswered();
    }
    assert.deepEqual(answers, ['a', 'b']);
});

// Nor over HTTP/2, or the server would have refused it: it answers no GET.
it('no program puts a key into an address', () => {
    assert.ok(asked.length > 0);
    for (const request of asked) {
        assert.match(request, /^POST \/portcullis\.v1\.\w+\/\w+$/);
    }
});
