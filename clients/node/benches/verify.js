// One Verify by the bare stub against the same by the guard, in turns of a few calls, so that both have the same weather.
import { credentials, Metadata } from '@grpc/grpc-js';
import { Guard, Portcullis, Refusal, VerificationServiceClient, VerifyRequest } from '@portcullis/client';

const ROUNDS = 600;
const CALLS = 20;
const WARM_UP = 100;

const { PORTCULLIS_SERVER, PORTCULLIS_ROOT_KEY, PORTCULLIS_BENCH_KEY: key } = process.env;

const stub = new VerificationServiceClient(new URL(PORTCULLIS_SERVER).host, credentials.createInsecure());
const metadata = new Metadata();
metadata.set('authorization', `Bearer ${PORTCULLIS_ROOT_KEY}`);

function byStub() {
    // Made anew for every call, as every request brings another key.
    const request = VerifyRequest.create({ key, clientIp: '127.0.0.1' });
    return new Promise((resolve, reject) => {
        stub.verify(request, metadata, { deadline: Date.now() + 1000 }, (error, { valid } = {}) =>
            valid ? resolve() : reject(error ?? new Error('the key is not valid')),
        );
    });
}

const client = new Portcullis();
const guard = new Guard({ keyspace: 'default', client });
const headers = { authorization: [`Bearer ${key}`], apiKey: [] };

async function byGuard() {
    const outcome = await guard.check(headers, '127.0.0.1');
    if (outcome instanceof Refusal) {
        throw new Error(outcome.message);
    }
}

async function measure(call, times) {
    for (let count = 0; count < CALLS; count += 1) {
        const began = process.hrtime.bigint();
        await call();
        times.push(Number(process.hrtime.bigint() - began) / 1000);
    }
}

const median = (times) => times.sort((a, b) => a - b)[times.length >> 1];

const times = { stub: [], guard: [] };
for (let round = 0; round < WARM_UP + ROUNDS; round += 1) {
    if (round === WARM_UP) {
        times.stub = [];
        times.guard = [];
    }
    // Whoever is second finds the caches warm.
    const turns = [() => measure(byStub, times.stub), () => measure(byGuard, times.guard)];
    for (const turn of round % 2 ? turns : turns.reverse()) {
        await turn();
    }
}
stub.close();
client.close();

const [bare, guarded] = [median(times.stub), median(times.guard)];
console.log(`stub   ${bare.toFixed(1)} µs\nguard  ${guarded.toFixed(1)} µs\nratio  ${(guarded / bare).toFixed(3)}`);
