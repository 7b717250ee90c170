/**
 * Attempts to connect that end. grpc-js bounds neither the TLS handshake nor the wait for HTTP/2's first frame: a peer that
 * accepts a connection and then says nothing would hold a channel, and its socket, for ever (grpc-node issue 2785).
 */
import type { Socket } from "node:net";

import { ChannelCredentials } from "@grpc/grpc-js";

/** Seconds, as in the library for Go. */
const CONNECT_WITHIN = 5;

type ConnectorArguments = Parameters<ChannelCredentials["_createSecureConnector"]>;
type Connector = ReturnType<ChannelCredentials["_createSecureConnector"]>;

/**
 * The credentials that it wraps, for connections that are given up when the peer stays silent. grpc-js has no other way in
 * to the socket; its types hold these methods to what they are.
 */
export class ImpatientCredentials extends ChannelCredentials {
  constructor(private readonly wrapped: ChannelCredentials) {
    super();
  }

  _isSecure(): boolean {
    return this.wrapped._isSecure();
  }

  _equals(other: ChannelCredentials): boolean {
    return other instanceof ImpatientCredentials && this.wrapped._equals(other.wrapped);
  }

  _createSecureConnector(...given: ConnectorArguments): Connector {
    return impatient(this.wrapped._createSecureConnector(...given));
  }
}

function impatient(connector: Connector): Connector {
  return {
    connect: (socket) =>
      new Promise((resolve, reject) => {
        let secured: Socket | undefined;
        const look = () => {
          // Of what is inside TLS: an HTTP/2 server begins with its settings.
          if (!secured?.bytesRead) {
            // Without an error, which nobody may be there to hear; so whoever waits for TLS is told here.
            socket.destroy();
            reject(new Error("the peer said nothing"));
          }
        };
        setTimeout(look, 1000 * CONNECT_WITHIN).unref();
        connector.connect(socket).then((connected) => {
          secured = connected.socket;
          resolve(connected);
        }, reject);
      }),
    waitForReady: () => connector.waitForReady(),
    getCallCredentials: () => connector.getCallCredentials(),
    destroy: () => connector.destroy(),
  };
}
