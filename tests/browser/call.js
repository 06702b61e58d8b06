// One unary call by any client, in a page or in Node.js, with all that goes in and comes out as plain JSON.

import { fromJson, toJson } from '@bufbuild/protobuf';
import { Code, ConnectError, createClient } from '@connectrpc/connect';
import { BadRequestSchema, ErrorInfoSchema } from './generated/google/rpc/error_details_pb.js';
import { ApiKeyService } from './generated/portcullis/v1/api_key_service_pb.js';
import { KeyspaceService } from './generated/portcullis/v1/keyspace_service_pb.js';
import { VerificationService } from './generated/portcullis/v1/verification_service_pb.js';

const services = [ApiKeyService, KeyspaceService, VerificationService];

/**
 * Calls `method`, such as `VerificationService/Verify`, over a transport.
 *
 * `options` are those of the client: `headers`, and `timeoutMs` after which it gives up. Answers `{ answer }`, or
 * `{ error }` with what the client knows of it.
 */
export async function call(transport, method, request, options) {
    const [serviceName, methodName] = method.split('/');
    const service = services.find(({ name }) => name === serviceName);
    const { input, output, localName } = service.methods.find(({ name }) => name === methodName);
    try {
        const answer = await createClient(service, transport)[localName](fromJson(input, request), options);
        return { answer: toJson(output, answer) };
    } catch (thrown) {
        const error = ConnectError.from(thrown);
        return {
            error: {
                code: Code[error.code],
                reasons: error.findDetails(ErrorInfoSchema).map(({ reason }) => reason),
                fields: error
                    .findDetails(BadRequestSchema)
                    .flatMap(({ fieldViolations }) => fieldViolations.map(({ field }) => field)),
                headers: Object.fromEntries(error.metadata),
            },
        };
    }
}
