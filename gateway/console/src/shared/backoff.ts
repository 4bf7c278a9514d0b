// Delays between attempts: doubling, bounded, and jittered so that a thousand clients do not come back at once.

export interface BackoffRange {
  min: number;
  max: number;
}

/** Delay in ms before attempt `attempt` (0 = the first repeat): between half and all of min * 2^attempt, at most max. */
export function backoff(attempt: number, range: BackoffRange, random: () => number = Math.random): number {
  const full = Math.min(range.max, range.min * 2 ** Math.min(attempt, 16));
  return Math.round(full / 2 + (full / 2) * random());
}

/** `Retry-After` in ms; only the form in seconds is used by Patchbay. */
export function retryAfter(header: string | null): number | undefined {
  const seconds = Number(header);
  return header && Number.isFinite(seconds) ? Math.max(0, seconds * 1000) : undefined;
}
