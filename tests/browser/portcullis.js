// A server to test with: the program that PORTCULLIS_TEST_PROGRAM names, over a new SQLite file.

import { spawn } from 'node:child_process';
import { randomBytes } from 'node:crypto';
import { once } from 'node:events';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { createInterface } from 'node:readline';

export class Portcullis {
    rootKey = `root_${randomBytes(16).toString('hex')}`;
    #process;
    #folder;

    /** Starts one that pages of these origins may call. */
    static async start(origins = []) {
        const server = new Portcullis();
        server.#folder = await mkdtemp(join(tmpdir(), 'portcullis-'));
        const environment = {
            PORTCULLIS_BOOTSTRAP_ROOT_KEY: server.rootKey,
            ...(origins.length && { PORTCULLIS_CORS_ORIGINS: origins.join(',') }),
        };
        server.#process = spawn(resolve(process.env.PORTCULLIS_TEST_PROGRAM), ['serve', '--listen', '127.0.0.1:0'], {
            cwd: server.#folder,
            env: environment,
            stdio: ['ignore', 'ignore', 'pipe'],
        });
        process.once('exit', () => server.#process.kill('SIGKILL'));
        const lines = createInterface(server.#process.stderr);
        const said = [];
        server.address = await new Promise((done, failed) => {
            lines.on('line', (line) => {
                said.push(line);
                const [, address] = line.match(/^listening on (.*)$/) ?? [];
                if (address) done(`http://${address}`);
            });
            lines.on('close', () => failed(new Error(`the server ended:\n${said.join('\n')}`)));
        });
        return server;
    }

    /** Does something while the server answers nothing, though its port is open. */
    async whileSuspended(action) {
        this.#process.kill('SIGSTOP');
        try {
            return await action();
        } finally {
            this.#process.kill('SIGCONT');
        }
    }

    async stop() {
        const ended = once(this.#process, 'exit');
        this.#process.kill('SIGKILL');
        await ended;
        await rm(this.#folder, { recursive: true });
    }
}
