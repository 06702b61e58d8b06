import { isIP } from 'node:net';
import { connect, type ConnectionOptions } from 'node:tls';
import { type ServiceError, status } from '@grpc/grpc-js';
import type { Destination, Place } from './address.js';

/** How long a probe of one replica may take. */
const PROBE_MS = 500;
/** Replicas are probed at most once in this time. What was found is told until then. */
const INTERVAL_MS = 5_000;

// The second is what grpc-js makes of the answer of a Portcullis with TLS to plaintext. Portcullis itself adds details to it.
const SUSPECT = [status.UNAVAILABLE, status.PERMISSION_DENIED];
const UNTRUSTED = [
    'DEPTH_ZERO_SELF_SIGNED_CERT',
    'SELF_SIGNED_CERT_IN_CHAIN',
    'UNABLE_TO_GET_ISSUER_CERT',
    'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
    'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
];
const NO_TLS = [
    'ERR_SSL_WRONG_VERSION_NUMBER',
    'ERR_SSL_HTTP_REQUEST',
    'ERR_SSL_PACKET_LENGTH_TOO_LONG',
    'ERR_SSL_RECORD_LAYER_FAILURE',
];

/**
 * Why a connection could not be made: grpc-js does not tell the wrong scheme of an address from a lost connection. Looks at
 * the replicas after a call has failed, and never before.
 */
export class Diagnosis {
    readonly #destination: Destination;
    readonly #ca: string | Buffer | undefined;
    #reason: Promise<string | undefined> | undefined;
    #until = 0;

    constructor(destination: Destination, ca: string | Buffer | undefined) {
        this.#destination = destination;
        this.#ca = ca;
    }

    /** Puts the reason, which says what to do, into the error of a call that no server answered. */
    async explain(error: ServiceError): Promise<void> {
        if (!SUSPECT.includes(error.code) || error.metadata.get('grpc-status-details-bin').length > 0) {
            return;
        }
        if (this.#reason === undefined || Date.now() >= this.#until) {
            this.#until = Date.now() + INTERVAL_MS;
            this.#reason = this.#probe();
        }
        const reason = await this.#reason;
        if (reason !== undefined) {
            error.code = status.UNAVAILABLE;
            error.details = reason;
            error.message = `${error.code} ${status[error.code]}: ${reason}`;
        }
    }

    async #probe(): Promise<string | undefined> {
        const { places, secure } = this.#destination;
        const reasons = await Promise.all(places.map((place) => (secure ? ofTls(place, this.#ca) : ofPlain(place))));
        return reasons.find((reason) => reason !== undefined);
    }
}

async function ofPlain(place: Place): Promise<string | undefined> {
    // Whose certificate it is does not matter: nothing is sent.
    const outcome = await handshake(place, { rejectUnauthorized: false });
    return outcome === 'done' ? `the server at ${at(place)} speaks TLS: use https://${at(place)}` : undefined;
}

async function ofTls(place: Place, ca: string | Buffer | undefined): Promise<string | undefined> {
    const outcome = await handshake(place, ca === undefined ? {} : { ca });
    if (UNTRUSTED.includes(outcome)) {
        return `the certificate of ${at(place)} is not signed by an authority that is trusted here: give its CA by the option ca`;
    }
    if (NO_TLS.includes(outcome)) {
        return `the server at ${at(place)} does not speak TLS: use http://${at(place)}, and allowPlaintext or PORTCULLIS_ALLOW_PLAINTEXT=true if it is another machine`;
    }
    return undefined;
}

/** Resolves to `done`, or to the code of the error. */
function handshake({ host, port }: Place, options: ConnectionOptions): Promise<string> {
    const bare = host.replace(/^\[|\]$/g, '');
    return new Promise((resolve) => {
        const socket = connect({
            host: bare,
            port,
            ALPNProtocols: ['h2'],
            ...(isIP(bare) === 0 && { servername: bare }),
            ...options,
        });
        const timer = setTimeout(() => socket.destroy(), PROBE_MS);
        socket.once('secureConnect', () => {
            resolve('done');
            socket.destroy();
        });
        socket.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? 'error'));
        socket.once('close', () => {
            clearTimeout(timer);
            resolve('closed');
        });
    });
}

function at({ host, port }: Place): string {
    return `${host}:${port}`;
}
