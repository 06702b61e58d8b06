import { type CallOptions, type Client, type ClientDuplexStream, type Metadata } from '@grpc/grpc-js';
import type { Diagnosis } from './diagnosis.js';

/** What the generated code says of a message: how it is made from a part of it, and written and read. */
interface MessageType {
    fromPartial(part: any): any;
    encode(message: any): { finish(): Uint8Array };
    decode(bytes: Uint8Array): any;
}

interface MethodDefinition {
    name: string;
    requestType: MessageType;
    requestStream: boolean;
    responseType: MessageType;
    responseStream: boolean;
}

interface ServiceDefinition {
    fullName: string;
    methods: Record<string, MethodDefinition>;
}

/** A request, of which fields may be left out. */
type Request<M extends MethodDefinition> = Parameters<M['requestType']['fromPartial']>[0];

type Response<M extends MethodDefinition> = ReturnType<M['responseType']['decode']>;

/**
 * Calls one method. A unary call ends with the response or rejects with a ServiceError of grpc-js; a stream is one of
 * grpc-js. The options are those of grpc-js; a `deadline` among them, a Date or milliseconds since 1970, wins over the
 * client's timeout. A stream has no deadline but that.
 */
type Call<M extends MethodDefinition> = M extends { requestStream: false; responseStream: false }
    ? (request: Request<M>, options?: CallOptions) => Promise<Response<M>>
    : M extends { requestStream: true; responseStream: true }
      ? (options?: CallOptions) => ClientDuplexStream<Request<M>, Response<M>>
      : never;

/** The methods of a service, to be called with promises. */
export type Calls<S extends ServiceDefinition> = { readonly [N in keyof S['methods']]: Call<S['methods'][N]> };

/** Makes the methods of a service out of its definition. Each call carries `metadata`; unary ones last `timeoutMs`. */
export function callsOf<S extends ServiceDefinition>(
    service: S,
    client: Client,
    metadata: Metadata,
    timeoutMs: number,
    diagnosis: Diagnosis,
): Calls<S> {
    const calls = Object.entries(service.methods).map(([name, method]) => {
        const path = `/${service.fullName}/${method.name}`;
        const write = (request: unknown) =>
            Buffer.from(method.requestType.encode(method.requestType.fromPartial(request)).finish());
        const read = (bytes: Buffer) => method.responseType.decode(bytes);

        const stream = (options: CallOptions = {}) =>
            client.makeBidiStreamRequest(path, write, read, metadata, options);
        const unary = (request: unknown, options: CallOptions = {}) =>
            new Promise((resolve, reject) => {
                const limited = { ...options, deadline: options.deadline ?? Date.now() + timeoutMs };
                client.makeUnaryRequest(path, write, read, request, metadata, limited, (error, response) =>
                    error ? void diagnosis.explain(error).finally(() => reject(error)) : resolve(response),
                );
            });
        return [name, method.requestStream ? stream : unary];
    });
    return Object.fromEntries(calls);
}
