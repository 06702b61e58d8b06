import type { RefusalCode } from './refusal.js';

/** The key of a request, or why there is none. */
export type Credential = { readonly key: string } | { readonly refused: RefusalCode };

/**
 * Reads the key out of every line of `Authorization` and of `X-API-Key`. Anything but exactly one key is refused: with
 * two credentials, a proxy and this guard might each go by another one.
 */
export function credentialOf(authorization: readonly string[], apiKey: readonly string[]): Credential {
    // Lines of one name mean what one line with commas means. No single value has one.
    const credential = authorization.join(',');
    const bare = apiKey.join(',');
    if (credential.includes(',') || bare.includes(',')) {
        return { refused: 'ambiguous_key' };
    }
    const inBearer = BEARER.exec(trimmed(credential))?.[1] ?? '';
    const inApiKey = trimmed(bare);
    if (inBearer && inApiKey) {
        return { refused: 'ambiguous_key' };
    }
    const key = inBearer || inApiKey;
    if (!key) {
        return { refused: 'missing_key' };
    }
    return KEY.test(key) ? { key } : { refused: 'invalid_key' };
}

/** All lines of the header `name`, in small letters, out of Node.js' `rawHeaders`; the parsed headers drop or join some. */
export function linesOf(rawHeaders: readonly string[], name: string): string[] {
    const lines = [];
    for (let index = 0; index + 1 < rawHeaders.length; index += 2) {
        if (rawHeaders[index]?.toLowerCase() === name) {
            lines.push(rawHeaders[index + 1] ?? '');
        }
    }
    return lines;
}

const BEARER = /^bearer +(.*)$/is;
const KEY = /^[!-~]{1,512}$/;

/** Without blanks and tabs around. Not by a regular expression: one would take the square of the time for blanks within. */
function trimmed(value: string): string {
    let start = 0;
    let end = value.length;
    while (start < end && isBlank(value[start])) {
        start += 1;
    }
    while (end > start && isBlank(value[end - 1])) {
        end -= 1;
    }
    return value.slice(start, end);
}

function isBlank(character: string | undefined): boolean {
    return character === ' ' || character === '\t';
}
