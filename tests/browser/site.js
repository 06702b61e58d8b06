// A site: one origin that serves the page.

import { once } from 'node:events';
import { createServer } from 'node:http';
import { build } from 'esbuild';

const page = '<!doctype html><title>Console</title><iframe name="frame"></iframe><script src="/page.js"></script>';

export class Site {
    #server;

    /** Serves on a port of its own, and so from an origin of its own. */
    static async start() {
        const bundle = await build({ entryPoints: ['page.js'], bundle: true, write: false, logLevel: 'warning' });
        const site = new Site();
        site.#server = createServer((request, response) => {
            if (request.url === '/page.js') {
                response.setHeader('content-type', 'text/javascript').end(bundle.outputFiles[0].text);
            } else {
                response.setHeader('content-type', 'text/html; charset=utf-8').end(page);
            }
        });
        site.#server.listen(0, 'localhost');
        await once(site.#server, 'listening');
        site.origin = `http://localhost:${site.#server.address().port}`;
        return site;
    }

    async stop() {
        this.#server.close();
        this.#server.closeAllConnections();
    }
}
