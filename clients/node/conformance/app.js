// One framework with one guarded route for each profile of the stage. See clients/conformance/README.md.
import { readFileSync } from 'node:fs';
import { Portcullis } from '@portcullis/client';

const { servers, profiles } = JSON.parse(readFileSync(process.env.PORTCULLIS_STAGE, 'utf8'));

const clients = new Map(
    Object.entries(servers).map(([name, { addresses, root_key, timeout_ms }]) => [
        name,
        new Portcullis({ address: addresses, rootKey: root_key, timeoutMs: timeout_ms }),
    ]),
);

// From each profile to the options of its guard.
const guarded = Object.entries(profiles).map(([name, profile]) => [
    name,
    {
        client: clients.get(profile.server),
        scopes: profile.scopes,
        anyOfScopes: profile.any_of_scopes,
        keyspace: profile.keyspace,
        ...(profile.cost !== null && { cost: profile.cost }),
        dangerouslyAllowWhenUnavailable: profile.dangerously_allow_when_unavailable,
    },
]);

const { serve } = await import(`./${process.argv[2]}.js`);
const port = await serve(guarded);
console.log(JSON.stringify(Object.fromEntries(guarded.map(([name]) => [name, `http://127.0.0.1:${port}/${name}`]))));

process.stdin.resume().on('end', () => process.exit());
