import type { IncomingMessage, ServerResponse } from 'node:http';
import { linesOf } from './credential.js';
import { Guard, GUARD_RULES, type GuardOptions } from './guard.js';
import type { Identity } from './identity.js';
import { isFunction, optional, type Rules } from './options.js';
import { Refusal } from './refusal.js';

declare global {
    namespace Express {
        interface Request {
            /** Who makes the request; set by a guard of Portcullis. */
            identity?: Identity;
        }
    }
}

/** What Express, and Connect, give of a request. */
export interface GuardedRequest extends IncomingMessage {
    ip?: string | undefined;
    identity?: Identity;
}

export interface ExpressGuardOptions extends GuardOptions {
    /** The address that a request comes from. Default: `request.ip`, which goes by the setting `trust proxy`. */
    clientIp?: (request: GuardedRequest) => string | undefined;
}

const RULES: Rules<ExpressGuardOptions> = {
    ...GUARD_RULES,
    clientIp: [optional(isFunction), 'a function of the request'],
};

/** Middleware that lets requests with a good key pass, with `request.identity`, and answers all others. */
export function guard(options: ExpressGuardOptions) {
    const guard = new Guard(options, RULES);
    const { clientIp = (request) => request.ip ?? request.socket.remoteAddress } = options;

    return async (
        request: GuardedRequest,
        response: ServerResponse,
        next: (error?: unknown) => void,
    ): Promise<void> => {
        try {
            const headers = {
                authorization: linesOf(request.rawHeaders, 'authorization'),
                apiKey: linesOf(request.rawHeaders, 'x-api-key'),
            };
            const outcome = await guard.check(headers, clientIp(request));
            if (outcome instanceof Refusal) {
                // Not Express' own methods: they add a charset.
                response.statusCode = outcome.status;
                for (const [name, value] of Object.entries(outcome.headers)) {
                    response.setHeader(name, value);
                }
                response.end(outcome.body);
                return;
            }
            request.identity = outcome;
        } catch (error) {
            next(error);
            return;
        }
        next();
    };
}
