/** Calls to auth-service over grpc-js with the messages of protobuf-es, and the errors they end with. */
import { create, type DescMessage, type DescMethodServerStreaming, type DescMethodUnary } from "@bufbuild/protobuf";
import { fromBinary, type MessageInitShape, type MessageShape, toBinary } from "@bufbuild/protobuf";
import { type Any, anyUnpack, durationMs } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";

import { ImpatientCredentials } from "./connecting.js";
import { AuthClientError } from "./errors.js";
import { BadRequestSchema, ErrorInfoSchema, RetryInfoSchema } from "./generated/google/rpc/error_details_pb.js";
import { StatusSchema } from "./generated/google/rpc/status_pb.js";

export interface ChannelOptions {
  /** TLS with the system's certificates, unless given or `plaintext`. */
  readonly credentials?: grpc.ChannelCredentials;
  readonly plaintext?: boolean;
  readonly channelOptions?: grpc.ChannelOptions;
}

const CHANNEL_OPTIONS: grpc.ChannelOptions = {
  // The server counts pings closer than 60 s as abuse, so stay well clear of that.
  "grpc.keepalive_time_ms": 90_000,
  "grpc.keepalive_timeout_ms": 20_000,
  "grpc.initial_reconnect_backoff_ms": 100,
  "grpc.max_reconnect_backoff_ms": 5_000,
  // Of several addresses another one than that which just failed.
  "grpc.service_config": '{"loadBalancingConfig": [{"round_robin": {}}]}',
};

export function openChannel(target: string, options: ChannelOptions): grpc.Client {
  const { credentials, plaintext = false, channelOptions } = options;
  const secured = credentials ?? (plaintext ? grpc.credentials.createInsecure() : grpc.credentials.createSsl());
  return new grpc.Client(target, new ImpatientCredentials(secured), { ...CHANNEL_OPTIONS, ...channelOptions });
}

/** The service refused a call, or could not be reached. */
export class CallFailed extends AuthClientError {
  constructor(
    /** gRPC's, such as UNAVAILABLE. */
    readonly code: string,
    /** One of auth_api.v1.ErrorReason without its prefix, or empty where the service did not get to answer. */
    readonly reason: string,
    message: string,
    readonly retryAfterSeconds?: number,
    /** What was expected of a field, by its name. */
    readonly fieldViolations: ReadonlyMap<string, string> = new Map(),
  ) {
    super(`${reason || code}: ${message}`);
  }
}

export function failureOf(error: grpc.ServiceError): CallFailed {
  let reason = "";
  let retryAfter: number | undefined;
  let violations = new Map<string, string>();
  for (const detail of detailsOf(error)) {
    reason = unpacked(detail, ErrorInfoSchema)?.reason ?? reason;
    const delay = unpacked(detail, RetryInfoSchema)?.retryDelay;
    retryAfter = delay === undefined ? retryAfter : durationMs(delay) / 1000;
    const fields = unpacked(detail, BadRequestSchema)?.fieldViolations;
    violations = fields === undefined ? violations : new Map(fields.map((each) => [each.field, each.description]));
  }
  return new CallFailed(grpc.status[error.code], reason, error.details, retryAfter, violations);
}

/** A proxy's error has none, and broken ones are as good as none. */
function detailsOf(error: grpc.ServiceError) {
  try {
    const [packed] = error.metadata.get("grpc-status-details-bin");
    return packed instanceof Buffer ? fromBinary(StatusSchema, packed).details : [];
  } catch {
    return [];
  }
}

function unpacked<T extends DescMessage>(detail: Any, schema: T): MessageShape<T> | undefined {
  try {
    return anyUnpack(detail, schema);
  } catch {
    return undefined;
  }
}

/** Rejects with CallFailed. */
export function unary<I extends DescMessage, O extends DescMessage>(
  client: grpc.Client,
  method: DescMethodUnary<I, O>,
  request: MessageInitShape<I>,
  deadlineSeconds: number,
): Promise<MessageShape<O>> {
  return new Promise((resolve, reject) => {
    client.makeUnaryRequest(
      pathOf(method),
      (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
      (bytes) => fromBinary(method.output, bytes),
      create(method.input, request),
      new grpc.Metadata(),
      { deadline: Date.now() + 1000 * deadlineSeconds },
      // A call that did not fail has an answer.
      (error, reply) => (error === null ? resolve(reply!) : reject(failureOf(error))),
    );
  });
}

/** Read it by `for await`, which throws grpc.ServiceError; then cancel it. */
export function serverStream<I extends DescMessage, O extends DescMessage>(
  client: grpc.Client,
  method: DescMethodServerStreaming<I, O>,
  request: MessageInitShape<I>,
  metadata: grpc.Metadata,
): grpc.ClientReadableStream<MessageShape<O>> {
  const call = client.makeServerStreamRequest(
    pathOf(method),
    (message: MessageShape<I>) => Buffer.from(toBinary(method.input, message)),
    (bytes) => fromBinary(method.output, bytes),
    create(method.input, request),
    metadata,
  );
  // Also emitted when nobody reads any longer, and an error that nobody listens to ends the process.
  return call.on("error", () => undefined);
}

function pathOf(method: { readonly name: string; readonly parent: { readonly typeName: string } }): string {
  return `/${method.parent.typeName}/${method.name}`;
}
