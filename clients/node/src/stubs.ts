/** What is generated from `proto/`: messages, enums, and of each service its definition and a client and server of grpc-js. */
export * from './generated/portcullis/v1/api_key.js';
export * from './generated/portcullis/v1/api_key_service.js';
export * from './generated/portcullis/v1/audit_service.js';
export * from './generated/portcullis/v1/error_reason.js';
export * from './generated/portcullis/v1/keyspace_service.js';
export * from './generated/portcullis/v1/replica_service.js';
export * from './generated/portcullis/v1/usage_service.js';
export * from './generated/portcullis/v1/verification_service.js';
export { BadRequest, ErrorInfo, RetryInfo } from './generated/google/rpc/error_details.js';
