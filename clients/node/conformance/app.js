// One framework with one guarded route for each profile of the stage. See clients/conformance/README.md.
import { readFileSync } from 'node:fs';
import { Portcullis } from '@portcullis/client';

const { servers, profiles, invalid_guards } = JSON.parse(readFileSync(process.env.PORTCULLIS_STAGE, 'utf8'));

const clients = new Map(
    Object.entries(servers).map(([name, { addresses, root_key, timeout_ms }]) => [
        name,
        new Portcullis({ address: addresses, rootKey: root_key, timeoutMs: timeout_ms }),
    ]),
);

/** The options of a guard; one that is not there is not given. */
function optionsOf({ server, any_of_scopes, cost, dangerously_allow_when_unavailable, ...rest }) {
    return {
        client: clients.get(server ?? 'main'),
        anyOfScopes: any_of_scopes,
        ...(cost != null && { cost }),
        dangerouslyAllowWhenUnavailable: dangerously_allow_when_unavailable ?? false,
        ...rest,
    };
}

// From each profile to the options of its guard.
const guarded = Object.entries(profiles).map(([name, profile]) => [name, optionsOf(profile)]);

const { serve, makeGuard } = await import(`./${process.argv[2]}.js`);
const guardErrors = Object.entries(invalid_guards).map(([name, options]) => {
    try {
        makeGuard(optionsOf(options));
        return [name, null];
    } catch (error) {
        return [name, error.message];
    }
});
const port = await serve(guarded);
const addresses = guarded.map(([name]) => [name, `http://127.0.0.1:${port}/${name}`]);
console.log(JSON.stringify({ ...Object.fromEntries(addresses), invalid_guards: Object.fromEntries(guardErrors) }));

process.stdin.resume().on('end', () => process.exit());
