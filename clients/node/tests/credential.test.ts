import assert from 'node:assert/strict';
import { test } from 'node:test';
import { type Credential, credentialOf, linesOf } from '../src/credential.js';

const KEY = { key: 'ak_1' };
const MISSING = { refused: 'missing_key' };
const AMBIGUOUS = { refused: 'ambiguous_key' };
const INVALID = { refused: 'invalid_key' };

const TABLE: [what: string, authorization: string[], apiKey: string[], expected: object][] = [
    ['nothing', [], [], MISSING],
    ['a bearer key', ['Bearer ak_1'], [], KEY],
    ['a bare key', [], ['ak_1'], KEY],
    ['any case of the scheme', ['bEARER ak_1'], [], KEY],
    ['spaces before the key', ['Bearer    ak_1'], [], KEY],
    ['blanks and tabs around', ['\t Bearer ak_1 \t'], [], KEY],
    ['blanks around a bare key', [], ['\tak_1 '], KEY],
    ['another scheme', ['Basic ak_1'], [], MISSING],
    ['another scheme beside a bare key', ['Basic abc'], ['ak_1'], KEY],
    ['no scheme', ['ak_1'], [], MISSING],
    ['a scheme that begins like it', ['Bearerx ak_1'], [], MISSING],
    ['a tab for a space', ['Bearer\tak_1'], [], MISSING],
    ['a bearer alone', ['Bearer'], ['ak_1'], KEY],
    ['a bearer and blanks', ['Bearer   '], [], MISSING],
    ['empty values', [''], [' '], MISSING],
    ['an empty value beside a key', ['Bearer ak_1'], [''], KEY],
    ['two lines', ['Bearer ak_1', 'Bearer ak_2'], [], AMBIGUOUS],
    ['the same line twice', [], ['ak_1', 'ak_1'], AMBIGUOUS],
    ['an empty line and a key', [], ['', 'ak_1'], AMBIGUOUS],
    ['a comma', ['Bearer ak_1, Bearer ak_2'], [], AMBIGUOUS],
    ['a comma at the end', [], ['ak_1,'], AMBIGUOUS],
    ['two schemes', ['Basic abc', 'Bearer ak_1'], [], AMBIGUOUS],
    ['two lines of another scheme beside a key', ['Basic a', 'Digest b'], ['ak_1'], AMBIGUOUS],
    ['a key in both', ['Bearer ak_1'], ['ak_1'], AMBIGUOUS],
    ['a blank within', ['Bearer ak_1 x'], [], INVALID],
    ['a tab before the key', ['Bearer \tak_1'], [], INVALID],
    ['a letter beyond ASCII', [], ['ak_\u00e9'], INVALID],
    ['a line break', [], ['ak_1\n'], INVALID],
    ['DEL', [], ['ak_\u007f'], INVALID],
    ['513 characters', [], ['x'.repeat(513)], INVALID],
];

for (const [what, authorization, apiKey, expected] of TABLE) {
    test(`a request with ${what}`, () => {
        assert.deepEqual(credentialOf(authorization, apiKey), expected);
    });
}

test('512 characters of every kind are a key', () => {
    const all = Array.from({ length: 94 }, (_, index) => String.fromCharCode(33 + index))
        .join('')
        .replace(',', '');
    const key = all.repeat(6).slice(0, 512);
    assert.deepEqual(credentialOf([], [key]), { key } satisfies Credential);
});

test('every line of a header is found, whatever the case of its name, and no value is taken for a name', () => {
    const raw = ['Host', 'x-api-key', 'X-API-Key', 'a', 'x-api-key', 'b', 'X-Api-Key-2', 'c'];
    assert.deepEqual(linesOf(raw, 'x-api-key'), ['a', 'b']);
});

test('a megabyte of blanks within takes no square of the time', () => {
    // It would be hours.
    assert.deepEqual(credentialOf([`Bearer x${' \t'.repeat(500_000)}x`], []), INVALID);
});
