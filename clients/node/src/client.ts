import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { type ChannelCredentials, Client, credentials, Metadata } from '@grpc/grpc-js';
import { type Destination, destinationOf } from './address.js';
import { type Calls, callsOf } from './calls.js';
import { Diagnosis } from './diagnosis.js';
import { ReadinessMonitor } from './readiness.js';
import { checkOptions, isBoolean, isString, isStrings, optional, type Rules } from './options.js';
import {
    ApiKeyServiceDefinition,
    AuditServiceDefinition,
    KeyspaceServiceDefinition,
    ReplicaServiceDefinition,
    UsageServiceDefinition,
    VerificationServiceDefinition,
} from './stubs.js';

/** How a client reaches Portcullis. An option that there is not is an error. */
export interface PortcullisOptions {
    /**
     * `http://HOST:PORT` or `https://HOST:PORT`; several are replicas. Default: the variable `PORTCULLIS_SERVER`,
     * then `http://127.0.0.1:50051`.
     */
    address?: string | readonly string[];
    /**
     * What every call proves itself by, blanks and line ends around it left out. Default: the variable
     * `PORTCULLIS_ROOT_KEY`. There must be one.
     */
    rootKey?: string;
    /** The certificate authorities to trust for `https://`, in PEM. Default: those that Node.js trusts. */
    ca?: string | Buffer;
    /**
     * Sends the root key over `http://` to another machine too, because something else encrypts the way there. Default: what
     * the variable `PORTCULLIS_ALLOW_PLAINTEXT` says, then false.
     */
    allowPlaintext?: boolean;
    /**
     * How long a unary call without a deadline of its own may take, its retries included, in milliseconds: more than 0,
     * up to a day. Default: 1000.
     */
    timeoutMs?: number;
}

/**
 * A client of Portcullis. It spreads its calls over all replicas and tries those again that end with UNAVAILABLE. One is
 * enough for a process: its calls share connections, which do not keep the process alive.
 */
export class Portcullis {
    /** Verifies presented keys. */
    readonly verification: Calls<VerificationServiceDefinition>;
    /** Issues, lists, changes, rotates and revokes keys. */
    readonly apiKeys: Calls<ApiKeyServiceDefinition>;
    /** Makes and changes keyspaces. */
    readonly keyspaces: Calls<KeyspaceServiceDefinition>;
    /** Lists what was changed, and by whom. */
    readonly audit: Calls<AuditServiceDefinition>;
    /** Counts what keys did. */
    readonly usage: Calls<UsageServiceDefinition>;
    /** Lists the replicas. */
    readonly replicas: Calls<ReplicaServiceDefinition>;

    readonly #client: Client;
    readonly #readiness: ReadinessMonitor;

    /** Connects with the first call. Throws a TypeError if the options make no client; no error holds the root key. */
    constructor(options: PortcullisOptions = {}) {
        checkOptions(options, RULES);
        const rootKey = (options.rootKey ?? process.env['PORTCULLIS_ROOT_KEY'] ?? '').trim();
        if (!rootKey) {
            throw new TypeError('Portcullis needs a root key: pass rootKey, or set PORTCULLIS_ROOT_KEY.');
        }
        // gRPC would quote it in its own error.
        if (!/^[!-~]+$/.test(rootKey)) {
            throw new TypeError('The root key holds blanks, line breaks or letters that no root key has.');
        }
        const timeoutMs = options.timeoutMs ?? 1000;
        const metadata = new Metadata();
        metadata.set('authorization', `Bearer ${rootKey}`);

        const destination = destinationOf(addressesOf(options), options.allowPlaintext ?? plaintextAllowed());
        const transportCredentials = channelCredentials(destination, options.ca);
        // A proxy is another machine, too.
        const proxy = { 'grpc.enable_http_proxy': destination.secure ? 1 : 0 };
        const client = new Client(destination.target, transportCredentials, {
            ...proxy,
            'grpc.service_config': SERVICE_CONFIG,
            'grpc.service_config_disable_resolution': 1,
            'grpc.keepalive_time_ms': 30_000,
            'grpc.keepalive_timeout_ms': 10_000,
            'grpc.keepalive_permit_without_calls': 1,
            // gRPC by itself would look for a server that was long away once in two minutes.
            'grpc.initial_reconnect_backoff_ms': 100,
            'grpc.max_reconnect_backoff_ms': 5_000,
            // And for the addresses of a name, once in half a minute.
            'grpc.dns_min_time_between_resolutions_ms': 5_000,
        });
        const diagnosis = new Diagnosis(destination, options.ca);
        this.#readiness = new ReadinessMonitor(destination.places, transportCredentials, proxy);
        this.#client = client;
        this.verification = callsOf(VerificationServiceDefinition, client, metadata, timeoutMs, diagnosis);
        this.apiKeys = callsOf(ApiKeyServiceDefinition, client, metadata, timeoutMs, diagnosis);
        this.keyspaces = callsOf(KeyspaceServiceDefinition, client, metadata, timeoutMs, diagnosis);
        this.audit = callsOf(AuditServiceDefinition, client, metadata, timeoutMs, diagnosis);
        this.usage = callsOf(UsageServiceDefinition, client, metadata, timeoutMs, diagnosis);
        this.replicas = callsOf(ReplicaServiceDefinition, client, metadata, timeoutMs, diagnosis);
    }

    /**
     * Tells the client that a call failed in a way that an outage may be the cause of, as guards do. Whether every
     * replica is known to be unready: unreachable, or not SERVING by its health check `readiness`. Does not wait: a first
     * failure has health asked in the background, once a second at most, until there was none for 30 s; up to the first
     * answer it is false.
     */
    reportFailure(): boolean {
        return this.#readiness.reportFailure();
    }

    /** Ends the connections once the calls in flight have ended. Later calls fail. */
    close(): void {
        this.#readiness.close();
        this.#client.close();
    }
}

const DAY_MS = 86_400_000;

const RULES: Rules<PortcullisOptions> = {
    address: [optional((value) => isString(value) || isStrings(value)), 'a string or an array of strings'],
    rootKey: [optional(isString), 'a string'],
    ca: [optional((value) => isString(value) || Buffer.isBuffer(value)), 'a string or a Buffer'],
    allowPlaintext: [optional(isBoolean), 'true or false'],
    timeoutMs: [
        optional((value) => typeof value === 'number' && value > 0 && value <= DAY_MS),
        'a number of milliseconds, more than 0 and up to a day',
    ],
};

let shared: Portcullis | undefined;

/** The client that guards without one of their own share, made from the environment when it is first asked for. */
export function sharedClient(): Portcullis {
    return (shared ??= new Portcullis());
}

const SERVICE_CONFIG = JSON.stringify({
    loadBalancingConfig: [{ round_robin: {} }],
    methodConfig: [
        {
            name: [{}],
            retryPolicy: {
                maxAttempts: 4,
                initialBackoff: '0.05s',
                maxBackoff: '0.5s',
                backoffMultiplier: 2,
                retryableStatusCodes: ['UNAVAILABLE'],
            },
        },
    ],
});

function addressesOf({ address }: PortcullisOptions): readonly string[] {
    if (address !== undefined) {
        return typeof address === 'string' ? [address] : address;
    }
    return [process.env['PORTCULLIS_SERVER'] || 'http://127.0.0.1:50051'];
}

function plaintextAllowed(): boolean {
    const value = process.env['PORTCULLIS_ALLOW_PLAINTEXT'] ?? '';
    if (!['true', '1', 'yes', 'on', '', 'false', '0', 'no', 'off'].includes(value)) {
        throw new TypeError(`PORTCULLIS_ALLOW_PLAINTEXT must be true or false; is ${JSON.stringify(value)}.`);
    }
    return ['true', '1', 'yes', 'on'].includes(value);
}

function channelCredentials({ secure, places }: Destination, ca: string | Buffer | undefined): ChannelCredentials {
    if (!secure) {
        return credentials.createInsecure();
    }
    const roots = ca === undefined ? null : Buffer.from(ca);
    // OpenSSL passes over whatever is no certificate.
    if (roots?.includes('-----BEGIN CERTIFICATE-----') === false) {
        throw new TypeError('ca holds no certificate in PEM.');
    }
    const hosts = places.map(({ host }) => host.replace(/^\[|\]$/g, ''));
    if (hosts.length === 1) {
        return credentials.createSsl(roots);
    }
    // gRPC expects the first name of every replica. Here each may prove any of the names.
    return credentials.createSsl(roots, null, null, {
        checkServerIdentity(_host: string, certificate: PeerCertificate): Error | undefined {
            const errors = hosts.map((host) => checkServerIdentity(host, certificate));
            return errors.includes(undefined) ? undefined : errors[0];
        },
    });
}
