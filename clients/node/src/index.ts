export { status, type CallOptions, type ServiceError } from '@grpc/grpc-js';
export type { Calls } from './calls.js';
export { Portcullis, type PortcullisOptions } from './client.js';
export { ANY_KEYSPACE } from './demand.js';
export { errorDetail } from './error.js';
export { Guard, type CredentialHeaders, type GuardOptions, type Logger } from './guard.js';
export type { Identity, IdentityRateLimit } from './identity.js';
export { Refusal, type RefusalCode } from './refusal.js';
export * from './stubs.js';
