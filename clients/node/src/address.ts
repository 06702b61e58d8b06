import { isIPv4 } from 'node:net';
import { REPLICAS_SCHEME } from './replicas.js';

/** Where calls go. */
export interface Destination {
    /** The target of a gRPC channel. */
    target: string;
    /** Whether over TLS. */
    secure: boolean;
    /** The host of each address. */
    hosts: string[];
}

/**
 * Reads addresses of the form `http://HOST:PORT` or `https://HOST:PORT`. No error quotes an address: it may be a secret
 * that stands in the wrong variable.
 */
export function destinationOf(addresses: readonly string[], allowPlaintext: boolean): Destination {
    const urls = addresses.map(urlOf);
    const [first] = urls;
    if (first === undefined) {
        throw new TypeError('Portcullis needs an address.');
    }
    if (urls.some((url) => url.protocol !== first.protocol)) {
        throw new TypeError('The addresses of Portcullis are either all http:// or all https://.');
    }
    const secure = first.protocol === 'https:';
    if (!secure && !allowPlaintext && !urls.every((url) => isLoopback(url.hostname))) {
        throw new TypeError(
            'The root key is not sent over http:// to another machine: use https://, or allowPlaintext if something else encrypts the way there.',
        );
    }
    // A URL leaves out the port that its scheme has by default.
    const places = urls.map((url) => `${url.hostname}:${url.port || (secure ? '443' : '80')}`);
    return {
        target: `${places.length === 1 ? 'dns' : REPLICAS_SCHEME}:///${places.join(',')}`,
        secure,
        hosts: urls.map((url) => url.hostname.replace(/^\[|\]$/g, '')),
    };
}

function urlOf(address: string): URL {
    const url = URL.canParse(address) ? new URL(address) : undefined;
    const bare =
        url !== undefined &&
        (url.protocol === 'http:' || url.protocol === 'https:') &&
        url.pathname === '/' &&
        !url.username &&
        !url.password &&
        !url.search &&
        !url.hash;
    if (!bare) {
        throw new TypeError('An address of Portcullis is http://HOST:PORT or https://HOST:PORT.');
    }
    return url;
}

function isLoopback(hostname: string): boolean {
    return hostname === 'localhost' || hostname === '[::1]' || (isIPv4(hostname) && hostname.startsWith('127.'));
}
