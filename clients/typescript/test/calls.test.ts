/** How a call's failure is read, whatever the far side sends. */
import { create, toBinary } from "@bufbuild/protobuf";
import { anyPack } from "@bufbuild/protobuf/wkt";
import * as grpc from "@grpc/grpc-js";
import assert from "node:assert/strict";
import { test } from "node:test";

import { failureOf } from "../src/calls.js";
import { ErrorInfoSchema } from "../src/generated/google/rpc/error_details_pb.js";
import { StatusSchema } from "../src/generated/google/rpc/status_pb.js";

function failed(packed: Uint8Array) {
  const metadata = new grpc.Metadata();
  metadata.set("grpc-status-details-bin", Buffer.from(packed));
  const error = Object.assign(new Error("no"), { code: grpc.status.UNAVAILABLE, details: "no", metadata });
  return failureOf(error);
}

test("broken details are as good as none, and harm no others", () => {
  const info = anyPack(ErrorInfoSchema, create(ErrorInfoSchema, { reason: "SERVER_LEAVING" }));
  const broken = ["ErrorInfo", "RetryInfo", "BadRequest"].map((name) => ({
    typeUrl: `type.googleapis.com/google.rpc.${name}`,
    value: new Uint8Array([255, 255]),
  }));
  const failure = failed(toBinary(StatusSchema, create(StatusSchema, { details: [info, ...broken] })));

  assert.deepEqual([failure.code, failure.reason, failure.retryAfterSeconds], ["UNAVAILABLE", "SERVER_LEAVING", undefined]);
  assert.equal(failed(new Uint8Array([255, 255])).reason, "");
});
