import { guard } from '@portcullis/client/fastify';
import { fastify } from 'fastify';
import { written } from './identity.js';

/** Makes a guard, and serves nothing. */
export const makeGuard = guard;

/** Serves each profile at its name, and returns the port. */
export async function serve(guarded) {
    const app = fastify();
    for (const [name, options] of guarded) {
        app.route({
            method: ['GET', 'POST'],
            url: `/${name}`,
            onRequest: guard(options),
            handler: async (request) => written(request.identity),
        });
    }
    await app.listen({ port: 0, host: '127.0.0.1' });
    return app.server.address().port;
}
