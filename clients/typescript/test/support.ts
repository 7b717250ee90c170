/** The vectors, and how the tests wait. */
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

export interface Case {
  readonly name: string;
  readonly key_set: string;
  readonly issuer: string;
  readonly audience: string | null;
  readonly leeway_seconds: number;
  readonly now: number;
  readonly revoked_sessions: readonly string[];
  readonly token: string;
  readonly token_repeat: number;
  readonly accepted: boolean;
  readonly code: string | null;
  readonly reason: string | null;
  readonly claims: object | null;
}

interface Vectors {
  readonly key_sets: Readonly<Record<string, { readonly jwks: { keys: object[] }; readonly revoked_kids: string[] }>>;
  readonly cases: readonly Case[];
}

const text = readFileSync(new URL("../../../../tests/vectors/vectors.json", import.meta.url), "utf-8");
// JSON.parse would round the largest user numbers.
export const vectors = JSON.parse(text.replace(/"user_number": (\d+)/g, '"user_number": "$1"')) as Vectors;

export function caseNamed(name: string): Case {
  const found = vectors.cases.find((each) => each.name === name);
  if (found === undefined) {
    throw new Error(`no vector is named ${name}`);
  }
  return found;
}

/** Rejects with what `attempt` last threw, if it goes on throwing. */
export async function eventually<T>(attempt: () => T | Promise<T>, seconds = 20): Promise<T> {
  const end = performance.now() + 1000 * seconds;
  for (;;) {
    try {
      return await attempt();
    } catch (error) {
      if (performance.now() > end) {
        throw error;
      }
      await sleep(20);
    }
  }
}
