import assert from 'node:assert/strict';
import { execFileSync } from 'node:child_process';
import { mkdtempSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { after, before, test } from 'node:test';
import { setTimeout } from 'node:timers/promises';
import { Portcullis, status } from '../src/index.js';
import { PATIENT_MS, Server } from './support/portcullis.js';

let folder: string;
let certificate: string;
let server: Server;
before(async () => {
    folder = mkdtempSync(join(tmpdir(), 'portcullis-node-tls-'));
    certificate = join(folder, 'cert.pem');
    const key = join(folder, 'key.pem');
    // For a name, not for the address.
    execFileSync(
        'openssl',
        [
            ...['req', '-x509', '-newkey', 'ec', '-pkeyopt', 'ec_paramgen_curve:prime256v1', '-nodes', '-days', '1'],
            ...['-subj', '/CN=localhost', '-addext', 'subjectAltName=DNS:localhost'],
            ...['-keyout', key, '-out', certificate],
        ],
        { stdio: 'ignore' },
    );
    server = await Server.start('--tls-cert', certificate, '--tls-key', key);
});
after(async () => {
    await server.stop();
    rmSync(folder, { recursive: true });
});

function clientOf(hosts: string[], ca?: Buffer): Portcullis {
    const port = server.address.split(':')[1];
    return new Portcullis({
        address: hosts.map((host) => `https://${host}:${port}`),
        rootKey: server.rootKey,
        timeoutMs: PATIENT_MS,
        ...(ca && { ca }),
    });
}

async function verify(hosts: string[], ca?: Buffer): Promise<unknown> {
    const client = clientOf(hosts, ca);
    try {
        return await client.verification.verify({ key: 'hello' });
    } finally {
        client.close();
    }
}

test('a server is trusted by its certificate authority and its name', async () => {
    await verify(['localhost'], readFileSync(certificate));
});

test('a server that nobody vouches for is not trusted', async () => {
    const at = server.address.replace('127.0.0.1', 'localhost');
    await assert.rejects(verify(['localhost']), {
        code: status.UNAVAILABLE,
        details: `the certificate of ${at} is not signed by an authority that is trusted here: give its CA by the option ca`,
    });
});

test('a server of another name is not trusted', async () => {
    await assert.rejects(verify(['127.0.0.1'], readFileSync(certificate)), { code: status.UNAVAILABLE });
    await assert.rejects(verify(['127.0.0.1', '[::1]'], readFileSync(certificate)), { code: status.UNAVAILABLE });
});

test('http:// to a server of TLS is told', async () => {
    const { rootKey, address: at } = server;
    const client = new Portcullis({ rootKey, address: `http://${at}`, timeoutMs: PATIENT_MS });
    const details = `the server at ${at} speaks TLS: use https://${at}`;
    await assert.rejects(client.verification.verify({ key: 'hello' }), { code: status.UNAVAILABLE, details });
    client.close();
});

test('https:// to a server of plaintext is told', async () => {
    const plain = await Server.start();
    const { address, rootKey } = plain;
    const client = new Portcullis({ rootKey, address: `https://${address}`, timeoutMs: PATIENT_MS });
    await assert.rejects(client.verification.verify({ key: 'hello' }), {
        code: status.UNAVAILABLE,
        details: `the server at ${address} does not speak TLS: use http://${address}, and allowPlaintext or PORTCULLIS_ALLOW_PLAINTEXT=true if it is another machine`,
    });
    client.close();
    await plain.stop();
});

test('each of several replicas may have any of their names', async () => {
    await verify(['127.0.0.1', 'localhost'], readFileSync(certificate));
});

test('health is asked over TLS by the same names', { timeout: PATIENT_MS }, async () => {
    // One that is not trusted is not reached: by then, the others were asked.
    const stranger = clientOf(['localhost']);
    const trusted = [
        clientOf(['localhost'], readFileSync(certificate)),
        clientOf(['127.0.0.1', 'localhost'], readFileSync(certificate)),
    ];
    const anyUnready = () => trusted.map((client) => client.reportFailure()).includes(true);
    for (let times = 0; times < 2; times += 1) {
        anyUnready();
        await setTimeout(1000);
        while (!stranger.reportFailure()) {
            await setTimeout(10);
        }
        assert.ok(!anyUnready());
    }
    [stranger, ...trusted].forEach((client) => client.close());
});

test('certificates that are none are refused at once', () => {
    assert.throws(() => new Portcullis({ rootKey: 'r', address: 'https://localhost:1', ca: 'hello' }));
});
