import { Metadata } from '@grpc/grpc-js';
import { Status } from './generated/google/rpc/status.js';

/** A generated message type that can be a detail of an error. */
interface DetailType<T> {
    readonly $type: string;
    decode(bytes: Uint8Array): T;
}

/**
 * The first detail of this type that the error of a call carries, such as `errorDetail(error, ErrorInfo)?.reason`;
 * undefined if it has none or is no error of a call.
 */
export function errorDetail<T>(error: unknown, type: DetailType<T>): T | undefined {
    const metadata = (error as { metadata?: unknown } | undefined)?.metadata;
    const [bytes] = metadata instanceof Metadata ? metadata.get('grpc-status-details-bin') : [];
    if (!(bytes instanceof Uint8Array)) {
        return undefined;
    }
    try {
        const detail = Status.decode(bytes).details.find(({ typeUrl }) => typeUrl.endsWith(`/${type.$type}`));
        return detail && type.decode(detail.value);
    } catch {
        // Whatever it was, it was not written by Portcullis.
        return undefined;
    }
}
