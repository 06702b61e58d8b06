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
    await assert.rejects(verify(['localhost']), { code: status.UNAVAILABLE });
});

test('a server of another name is not trusted', async () => {
    await assert.rejects(verify(['127.0.0.1'], readFileSync(certificate)), { code: status.UNAVAILABLE });
    await assert.rejects(verify(['127.0.0.1', '[::1]'], readFileSync(certificate)), { code: status.UNAVAILABLE });
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
