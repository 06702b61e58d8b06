import { isIPv4 } from 'node:net';
import { REPLICAS_SCHEME } from './replicas.js';

/** Where calls go. */
export interface Destination {
    /** The target of a gRPC channel. */
    target: string;
    /** Whether over TLS. */
    secure: boolean;
    /** What each address says. */
    places: Place[];
}

/** What one address says. */
export interface Place {
    secure: boolean;
    /** In brackets if it is an IPv6 address. */
    host: string;
    port: number;
}

/**
 * Reads addresses of the form `http://HOST:PORT` or `https://HOST:PORT`. No error quotes an address: it may be a secret
 * that stands in the wrong variable.
 */
export function destinationOf(addresses: readonly string[], allowPlaintext: boolean): Destination {
    const places = addresses.map(placeOf);
    const [first] = places;
    if (first === undefined) {
        throw new TypeError('Portcullis needs an address.');
    }
    const { secure } = first;
    if (places.some((place) => place.secure !== secure)) {
        throw new TypeError('The addresses of Portcullis are either all http:// or all https://.');
    }
    const remote = places.findIndex(({ host }) => !isLocal(host));
    if (!secure && !allowPlaintext && remote >= 0) {
        throw new TypeError(
            `Address ${remote + 1} of Portcullis is http:// to another machine, where the root key is not sent: use https://, or allowPlaintext or PORTCULLIS_ALLOW_PLAINTEXT=true if something else encrypts the way there.`,
        );
    }
    const list = places.map(({ host, port }) => `${host}:${port}`).join(',');
    return {
        target: `${places.length === 1 ? 'dns' : REPLICAS_SCHEME}:///${list}`,
        secure,
        places,
    };
}

// Not read by URL alone, which leaves out a port that is its scheme's, and takes 2130706433 for 127.0.0.1.
const ADDRESS = /^(?<scheme>https?):\/\/(?<host>[\w.-]+|\[[\da-f.:]+\]):(?<port>\d+)\/?$/i;

function placeOf(address: string, index: number): Place {
    if (address.startsWith('dns:')) {
        throw new TypeError(
            `Address ${index + 1} of Portcullis is a target of gRPC (dns:///): write http://HOST:PORT or https://HOST:PORT. All addresses of the name are used all the same.`,
        );
    }
    const { scheme = '', host = '', port = '' } = ADDRESS.exec(address)?.groups ?? {};
    if (!URL.canParse(address) || !(Number(port) > 0)) {
        throw new TypeError(`Address ${index + 1} of Portcullis is none: write http://HOST:PORT or https://HOST:PORT.`);
    }
    return { secure: scheme.toLowerCase() === 'https', host: host.toLowerCase(), port: Number(port) };
}

function isLocal(host: string): boolean {
    return host === 'localhost' || host === '[::1]' || (isIPv4(host) && host.startsWith('127.'));
}
