// Calls to the agents' API: one place for the token, JSON and problem documents.
import { retryAfter } from '../../shared/backoff';
import type { ProblemBody } from './types';

/** A call that waits longer than this is given up; what it did is safe to ask again for. */
const CALL_TIMEOUT_MS = 20_000;

/** An answer other than 2xx; status 0 = no answer. */
export class ApiError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    detail: string,
    readonly retryAfterMs?: number,
  ) {
    super(detail);
  }

  /** Whether the same call may work later. */
  get retry(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 425 || this.status === 429 || this.status >= 500;
  }
}

export interface CallOptions {
  query?: Record<string, string | number | undefined>;
  body?: unknown;
  /** Raw bytes instead of JSON. */
  file?: Blob;
  key?: string;
}

export class Http {
  constructor(
    private readonly base: string,
    private readonly token: () => string,
    /** The token is no longer good. */
    private readonly refused: () => void,
    private readonly fetcher: typeof fetch = (input, init) => fetch(input, init),
  ) {}

  get<T>(path: string, query?: CallOptions['query']): Promise<T> {
    return this.call<T>('GET', path, query ? { query } : {});
  }

  post<T>(path: string, body: unknown = {}, options: CallOptions = {}): Promise<T> {
    return this.call<T>('POST', path, { body, ...options });
  }

  async call<T>(method: string, path: string, options: CallOptions = {}): Promise<T> {
    const url = new URL(this.base + path, location.href);
    for (const [name, value] of Object.entries(options.query ?? {})) {
      if (value !== undefined && value !== '') url.searchParams.set(name, String(value));
    }
    const headers: Record<string, string> = { Authorization: `Bearer ${this.token()}` };
    const init: RequestInit = { method, headers, cache: 'no-store', credentials: 'omit' };
    if (options.key) headers['Idempotency-Key'] = options.key;
    if (options.file) {
      headers['Content-Type'] = options.file.type || 'application/octet-stream';
      init.body = options.file;
    } else {
      init.signal = AbortSignal.timeout(CALL_TIMEOUT_MS);
      if (options.body !== undefined) {
        headers['Content-Type'] = 'application/json';
        init.body = JSON.stringify(options.body);
      }
    }
    let answer: Response;
    try {
      answer = await this.fetcher(url.href, init);
    } catch {
      throw new ApiError(0, 'offline', 'no answer from the server');
    }
    const body: unknown = answer.status === 204 ? undefined : await answer.json().catch(() => undefined);
    if (answer.ok) return body as T;
    if (answer.status === 401) this.refused();
    const problem = (body ?? {}) as ProblemBody;
    const detail = problem.detail ?? problem.title ?? `HTTP ${answer.status}`;
    throw new ApiError(answer.status, problem.code ?? 'error', detail, retryAfter(answer.headers.get('Retry-After')));
  }
}
