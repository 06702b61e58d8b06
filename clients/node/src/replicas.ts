import { type ChannelOptions, experimental } from '@grpc/grpc-js';

/** The scheme of a target that lists several `HOST:PORT`, separated by commas. */
export const REPLICAS_SCHEME = 'portcullis-replicas';

type Resolution = Parameters<experimental.ResolverListener>[0];

/**
 * Finds the addresses of several names. What grpc-js has for lists, `ipv4:` and `ipv6:`, knows no names and no mixture;
 * here its own DNS resolver looks each one up.
 */
class ReplicasResolver implements experimental.Resolver {
    readonly #resolvers: experimental.Resolver[];
    /** By name; none for one that could not be looked up, undefined for one that has not been yet. */
    readonly #endpoints: (experimental.Endpoint[] | undefined)[];
    readonly #listener: experimental.ResolverListener;

    constructor(target: experimental.GrpcUri, listener: experimental.ResolverListener, options: ChannelOptions) {
        this.#listener = listener;
        const places = target.path.split(',');
        this.#endpoints = places.map(() => undefined);
        this.#resolvers = places.map((path, index) =>
            experimental.createResolver(
                { scheme: 'dns', path },
                (resolution) => this.#resolved(index, resolution),
                options,
            ),
        );
    }

    static getDefaultAuthority(target: experimental.GrpcUri): string {
        return target.path.split(',')[0] ?? '';
    }

    updateResolution(): void {
        for (const resolver of this.#resolvers) {
            resolver.updateResolution();
        }
    }

    destroy(): void {
        for (const resolver of this.#resolvers) {
            resolver.destroy();
        }
    }

    /** Reports all endpoints that are known, or the error once every name has one. */
    #resolved(index: number, resolution: Resolution): boolean {
        if (resolution.ok) {
            this.#endpoints[index] = resolution.value;
            const value = this.#endpoints.flatMap((known) => known ?? []);
            return this.#listener({ ok: true, value }, {}, null, '');
        }
        // A name that cannot be looked up again keeps the endpoints it had.
        this.#endpoints[index] ??= [];
        // As long as the others are well, nobody else asks for it again. The resolver sees to it that this is not at once.
        this.#resolvers[index]?.updateResolution();
        const hopeful = this.#endpoints.some((known) => known === undefined || known.length > 0);
        return hopeful || this.#listener(resolution, {}, null, '');
    }
}

experimental.registerResolver(REPLICAS_SCHEME, ReplicasResolver);
