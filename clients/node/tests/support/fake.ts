import {
    Metadata,
    type sendUnaryData,
    Server as GrpcServer,
    ServerCredentials,
    type ServerUnaryCall,
    status,
} from '@grpc/grpc-js';
import { Status } from '../../src/generated/google/rpc/status.js';
import { RetryInfo, VerificationServiceService, type VerifyRequest, VerifyResponse, Verdict } from '../../src/index.js';

type Answer = (call: ServerUnaryCall<VerifyRequest, VerifyResponse>, callback: sendUnaryData<VerifyResponse>) => void;

/** A server that answers Verify as a test likes, and counts. */
export class Fake {
    address = '';
    calls: ServerUnaryCall<VerifyRequest, VerifyResponse>[] = [];
    answer: Answer = valid;
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

/** Never answers. */
export const silence: Answer = () => {};
