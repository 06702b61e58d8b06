import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createInterface } from 'node:readline';
import { Portcullis } from '../../src/index.js';

/** Longer than any machine takes. */
export const PATIENT_MS = 120_000;

/** A real server over an empty store, in a folder of its own. */
export class Server {
    readonly rootKey = `root_${'0123456789abcdef'.repeat(3)}`;
    readonly address: string;
    readonly #process: ChildProcess;
    readonly #folder: string;

    private constructor(process: ChildProcess, folder: string, address: string) {
        this.#process = process;
        this.#folder = folder;
        this.address = address;
    }

    static async start(...settings: string[]): Promise<Server> {
        const program = process.env['PORTCULLIS_TEST_PROGRAM'];
        if (!program) {
            throw new Error('PORTCULLIS_TEST_PROGRAM names no portcullis to test with');
        }
        const folder = await mkdtemp(join(tmpdir(), 'portcullis-node-'));
        const child = spawn(program, ['serve', '--listen', '127.0.0.1:0', '--shutdown-grace-ms', '0', ...settings], {
            cwd: folder,
            env: { PORTCULLIS_BOOTSTRAP_ROOT_KEY: `root_${'0123456789abcdef'.repeat(3)}` },
            stdio: ['ignore', 'ignore', 'pipe'],
        });
        for await (const line of createInterface(child.stderr)) {
            const address = /listening on (\S+)/.exec(line)?.[1];
            if (address) {
                child.stderr.resume();
                return new Server(child, folder, address);
            }
        }
        throw new Error('the server did not start');
    }

    /** A client that waits as long as it takes. */
    client(): Portcullis {
        return new Portcullis({ address: `http://${this.address}`, rootKey: this.rootKey, timeoutMs: PATIENT_MS });
    }

    async stop(): Promise<void> {
        const ended = once(this.#process, 'exit');
        this.#process.kill();
        await ended;
        await rm(this.#folder, { recursive: true });
    }
}
