import {
    Metadata,
    type sendUnaryData,
    Server as GrpcServer,
    ServerCredentials,
    type ServerUnaryCall,
    status,
} from '@grpc/grpc-js';
import { Status } from '../../src/generated/google/rpc/status.js';
import {
    ErrorInfo,
    RetryInfo,
    VerificationServiceService,
    type VerifyRequest,
    VerifyResponse,
    Verdict,
} from '../../src/index.js';

type Answer = (call: ServerUnaryCall<VerifyRequest, VerifyResponse>, callback: sendUnaryData<VerifyResponse>) => void;

/** A server that answers Verify as a test likes, and counts. */
export class Fake {
    address = '';
    calls: ServerUnaryCall<VerifyRequest, VerifyResponse>[] = [];
    answer: Answer = valid;
    /** What grpc.health.v1 answers about `readiness`: bytes, or nothing at all. Without it, there is no such service. */
    readiness: Buffer | 'silent' | undefined;
    healthCalls: Metadata[] = [];
    readonly #server = new GrpcServer();

    /** At a port of its own, or at the address of another that has stopped. */
    static async start(address = 'http://127.0.0.1:0'): Promise<Fake> {
        const fake = new Fake();
        const unimplemented = () => {
            throw new Error('not called in tests');
        };
        fake.#server.addService(VerificationServiceService, {
            verify: (call: ServerUnaryCall<VerifyRequest, VerifyResponse>, callback: sendUnaryData<VerifyResponse>) => {
                fake.calls.push(call);
                fake.answer(call, callback);
            },
            batchVerify: unimplemented,
            verifyStream: unimplemented,
        });
        fake.#server.addService(
            {
                check: {
                    path: '/grpc.health.v1.Health/Check',
                    requestStream: false,
                    responseStream: false,
                    requestSerialize: same,
                    requestDeserialize: same,
                    responseSerialize: same,
                    responseDeserialize: same,
                },
            },
            {
                check: (call: ServerUnaryCall<Buffer, Buffer>, callback: sendUnaryData<Buffer>) => {
                    fake.healthCalls.push(call.metadata);
                    if (fake.readiness === undefined || call.request.toString() !== '\n\treadiness') {
                        callback({ code: status.UNIMPLEMENTED });
                    } else if (fake.readiness !== 'silent') {
                        callback(null, fake.readiness);
                    }
                },
            },
        );
        const port = await new Promise<number>((resolve, reject) => {
            fake.#server.bindAsync(new URL(address).host, ServerCredentials.createInsecure(), (error, bound) =>
                error ? reject(error) : resolve(bound),
            );
        });
        fake.address = `http://127.0.0.1:${port}`;
        return fake;
    }

    stop(): void {
        this.#server.forceShutdown();
    }
}

const same = (bytes: Buffer) => bytes;

/** Answers of grpc.health.v1. */
export const SERVING = Buffer.from([8, 1]);
export const NOT_SERVING = Buffer.from([8, 2]);

/** Accepts every key. */
export const valid: Answer = (call, callback) =>
    callback(null, VerifyResponse.create({ valid: true, verdict: Verdict.VALID, keyId: 'key_1', subject: 'user_1' }));

/** Answers with a verdict. */
export function verdict(response: Parameters<typeof VerifyResponse.create>[0]): Answer {
    return (call, callback) => callback(null, VerifyResponse.create(response));
}

/** Ends calls with a status, and with a RetryInfo if there is a delay. */
export function failure(code: status, retryDelay?: { seconds?: bigint; nanos?: number }): Answer {
    const metadata = new Metadata();
    if (retryDelay) {
        const value = Buffer.from(RetryInfo.encode(RetryInfo.create({ retryDelay })).finish());
        const details = [{ typeUrl: 'type.googleapis.com/google.rpc.RetryInfo', value }];
        const bytes = Status.encode(Status.create({ code, details })).finish();
        metadata.set('grpc-status-details-bin', Buffer.from(bytes));
    }
    return (call, callback) => callback({ code, details: 'as the test likes', metadata });
}

/** Ends calls with a status that has an ErrorInfo of a domain. */
export function failureOf(domain: string, code: status): Answer {
    const value = Buffer.from(ErrorInfo.encode(ErrorInfo.create({ reason: 'R', domain })).finish());
    const details = [{ typeUrl: 'type.googleapis.com/google.rpc.ErrorInfo', value }];
    const metadata = new Metadata();
    metadata.set('grpc-status-details-bin', Buffer.from(Status.encode(Status.create({ code, details })).finish()));
    return (call, callback) => callback({ code, details: 'as the test likes', metadata });
}

/** Never answers. */
export const silence: Answer = () => {};
