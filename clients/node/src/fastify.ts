import type { FastifyReply, FastifyRequest } from 'fastify';
import { linesOf } from './credential.js';
import { Guard, GUARD_RULES, type GuardOptions } from './guard.js';
import type { Identity } from './identity.js';
import { isFunction, optional, type Rules } from './options.js';
import { Refusal } from './refusal.js';

declare module 'fastify' {
    interface FastifyRequest {
        /** Who makes the request; set by a guard of Portcullis. */
        identity?: Identity;
    }
}

export interface FastifyGuardOptions extends GuardOptions {
    /** The address that a request comes from. Default: `request.ip`, which goes by the option `trustProxy`. */
    clientIp?: (request: FastifyRequest) => string | undefined;
}

const RULES: Rules<FastifyGuardOptions> = {
    ...GUARD_RULES,
    clientIp: [optional(isFunction), 'a function of the request'],
};

/** A hook `onRequest` that lets requests with a good key pass, with `request.identity`, and answers all others. */
export function guard(options: FastifyGuardOptions) {
    const guard = new Guard(options, RULES);
    const { clientIp = (request) => request.ip } = options;

    return async (request: FastifyRequest, reply: FastifyReply): Promise<void> => {
        const { rawHeaders } = request.raw;
        const headers = {
            authorization: linesOf(rawHeaders, 'authorization'),
            apiKey: linesOf(rawHeaders, 'x-api-key'),
        };
        const outcome = await guard.check(headers, clientIp(request));
        if (outcome instanceof Refusal) {
            // As bytes: to text Fastify adds a charset.
            await reply.code(outcome.status).headers(outcome.headers).send(Buffer.from(outcome.body));
            return;
        }
        request.identity = outcome;
    };
}
