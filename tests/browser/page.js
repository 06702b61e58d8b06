// What the page has, for the test to call: the clients of connect-web.

import { createConnectTransport, createGrpcWebTransport } from '@connectrpc/connect-web';
import { call } from './call.js';

const transports = {
    'Connect in JSON': (baseUrl) => createConnectTransport({ baseUrl }),
    'Connect in binary': (baseUrl) => createConnectTransport({ baseUrl, useBinaryFormat: true }),
    'Connect by GET where it may': (baseUrl) => createConnectTransport({ baseUrl, useHttpGet: true }),
    'gRPC-Web': (baseUrl) => createGrpcWebTransport({ baseUrl }),
};

globalThis.call = (protocol, server, ...rest) => call(transports[protocol](server), ...rest);
