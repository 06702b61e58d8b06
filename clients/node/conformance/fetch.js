import { once } from 'node:events';
import { createServer } from 'node:http';
import { protect } from '@portcullis/client/fetch';
import { written } from './identity.js';

/** Makes a guard, and serves nothing. */
export const makeGuard = (options) => protect(() => new Response(), options);

/** Serves each profile at its name, and returns the port. */
export async function serve(guarded) {
    const handlers = new Map(
        guarded.map(([name, options]) => [
            `/${name}`,
            protect((request, auth) => Response.json(written({ ...auth, authenticated: auth.isAuthenticated })), {
                ...options,
                acceptsToken: 'api_key',
                clientIp: (request, socket) => socket.remoteAddress,
            }),
        ]),
    );
    const server = createServer(async (incoming, outgoing) => {
        const request = requestOf(incoming);
        const response = await handlers.get(new URL(request.url).pathname)(request, incoming.socket);
        outgoing.writeHead(response.status, Object.fromEntries(response.headers));
        outgoing.end(await response.text());
    });
    await once(server.listen(0, '127.0.0.1'), 'listening');
    return server.address().port;
}

/** As platforms do it: every line of a header is appended. */
function requestOf({ url, method, rawHeaders }) {
    const headers = new Headers();
    for (let index = 0; index < rawHeaders.length; index += 2) {
        headers.append(rawHeaders[index], rawHeaders[index + 1]);
    }
    return new Request(new URL(url, 'http://127.0.0.1'), { method, headers });
}
