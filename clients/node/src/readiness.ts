import { lookup } from 'node:dns/promises';
import { type ChannelCredentials, type ChannelOptions, Client, status } from '@grpc/grpc-js';
import { type Place } from './address.js';

/** Health is asked at most once in this time, and has as long to answer, the connection included. */
const INTERVAL_MS = 1000;
/** A check that ends later than this says nothing: this process was busy, not Portcullis. */
const LATE_MS = 2000;
/** What a check found holds for this long. */
const VALID_MS = 3000;
/** Health is asked for this long after the last failure. */
const WATCH_MS = 30_000;

const METHOD = '/grpc.health.v1.Health/Check';
// The messages have one field each: the service to ask about, and the status, of which 1 is SERVING.
const READINESS = Buffer.from('\n\treadiness');
const SERVING = Buffer.from([8, 1]);

/** Knows whether every replica is unready, by grpc.health.v1. It asks only for some time after a failure. */
export class ReadinessMonitor {
    readonly #places: readonly Place[];
    readonly #credentials: ChannelCredentials;
    readonly #options: ChannelOptions;
    /** By the address of a replica and the name that it was found by. */
    #clients = new Map<string, Client>();
    #timer: NodeJS.Timeout | undefined;
    #isWatching = false;
    #isClosed = false;
    #watchUntil = 0;
    #unreadyUntil = 0;

    constructor(places: readonly Place[], credentials: ChannelCredentials, options: ChannelOptions) {
        this.#places = places;
        this.#credentials = credentials;
        this.#options = options;
    }

    /**
     * Whether every replica is known to be unready, now that a call failed. Does not wait: a first failure has health
     * asked in the background, once a second at most, until there was none for 30 s. Up to the first answer, no replica
     * is known to be unready.
     */
    reportFailure(): boolean {
        const now = performance.now();
        this.#watchUntil = now + WATCH_MS;
        if (!this.#isWatching && !this.#isClosed) {
            this.#isWatching = true;
            void this.#watch();
        }
        return now < this.#unreadyUntil;
    }

    /** Ends the watch. */
    close(): void {
        this.#isClosed = true;
        this.#stop();
    }

    #stop(): void {
        clearTimeout(this.#timer);
        this.#isWatching = false;
        this.#unreadyUntil = 0;
        for (const client of this.#clients.values()) {
            client.close();
        }
        this.#clients.clear();
    }

    async #watch(): Promise<void> {
        const start = performance.now();
        const unready = await this.#check();
        const now = performance.now();
        if (this.#isClosed || now >= this.#watchUntil) {
            this.#stop();
            return;
        }
        this.#unreadyUntil = unready && now - start < LATE_MS ? now + VALID_MS : 0;
        this.#timer = setTimeout(() => void this.#watch(), Math.max(0, start + INTERVAL_MS - now));
        this.#timer.unref();
    }

    /** Asks every replica at once, and says whether none is ready. Never rejects. */
    async #check(): Promise<boolean> {
        const addresses = (await Promise.all(this.#places.map(addressesOf))).flat();
        if (this.#isClosed) {
            return false;
        }
        const clients = new Map<string, Client>();
        for (const address of addresses) {
            const id = `${address.target} ${address.authority}`;
            clients.set(id, clients.get(id) ?? this.#clients.get(id) ?? this.#connect(address));
        }
        for (const [id, client] of this.#clients) {
            if (!clients.has(id)) {
                client.close();
            }
        }
        this.#clients = clients;
        const ready = await Promise.all([...clients.values()].map(isReady));
        return !ready.includes(true);
    }

    #connect({ target, host, authority }: Address): Client {
        return new Client(target, this.#credentials, {
            ...this.#options,
            'grpc.default_authority': authority,
            // The name that its certificate must have.
            'grpc.ssl_target_name_override': host,
            // The connections of the client may be full of calls that wait: health has its own.
            'grpc.use_local_subchannel_pool': 1,
            'grpc.enable_retries': 0,
            'grpc.service_config_disable_resolution': 1,
            // A replica that is away is looked for again by the next check.
            'grpc.initial_reconnect_backoff_ms': 100,
            'grpc.max_reconnect_backoff_ms': INTERVAL_MS / 2,
        });
    }
}

interface Address {
    target: string;
    /** The name or IP address that it was found by. */
    host: string;
    authority: string;
}

/** All addresses of a name. One that has none is that of a replica which cannot be reached. */
async function addressesOf({ host, port }: Place): Promise<Address[]> {
    const name = host.replace(/^\[|\]$/g, '');
    try {
        const found = await lookup(name, { all: true });
        return found.map(({ address, family }) => ({
            target: family === 6 ? `ipv6:[${address}]:${port}` : `ipv4:${address}:${port}`,
            host: name,
            authority: `${host}:${port}`,
        }));
    } catch {
        return [];
    }
}

function isReady(client: Client): Promise<boolean> {
    const same = (bytes: Buffer) => bytes;
    return new Promise((resolve) => {
        const deadline = Date.now() + INTERVAL_MS;
        client.makeUnaryRequest(METHOD, same, same, READINESS, { deadline }, (error, answer) => {
            if (error) {
                // Any other error comes from a replica that is there.
                resolve(error.code !== status.UNAVAILABLE && error.code !== status.DEADLINE_EXCEEDED);
            } else {
                resolve(answer !== undefined && SERVING.equals(answer));
            }
        });
    });
}
