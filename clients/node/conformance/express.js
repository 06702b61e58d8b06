import { once } from 'node:events';
import { guard } from '@portcullis/client/express';
import express from 'express';
import { written } from './identity.js';

/** Makes a guard, and serves nothing. */
export const makeGuard = guard;

/** Serves each profile at its name, and returns the port. */
export async function serve(guarded) {
    const app = express();
    for (const [name, options] of guarded) {
        app.all(`/${name}`, guard(options), (request, response) => {
            response.json(written(request.identity));
        });
    }
    const server = app.listen(0, '127.0.0.1');
    await once(server, 'listening');
    return server.address().port;
}
