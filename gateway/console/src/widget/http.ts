// Calls below /channels/{id}: one place for the token, the errors and the upload progress.
import { retryAfter } from '../shared/backoff';
import type { Upload } from '../shared/wire';

/** An answer other than 2xx; status 0 = no answer at all. */
export class HttpError extends Error {
  constructor(
    readonly status: number,
    readonly code: string,
    readonly retryAfterMs: number | undefined,
  ) {
    super(`${status} ${code}`);
  }

  /** Whether the same call may work later. */
  get retry(): boolean {
    return this.status === 0 || this.status === 408 || this.status === 429 || this.status >= 500;
  }
}

export type Fetch = typeof fetch;

/** Sends JSON and gives back JSON; every failure is an HttpError. */
export async function call<T>(
  fetcher: Fetch,
  url: string,
  options: { method?: string; token?: string; body?: unknown; signal?: AbortSignal } = {},
): Promise<T> {
  const headers: Record<string, string> = {};
  if (options.token) headers['Authorization'] = `Bearer ${options.token}`;
  const init: RequestInit = { method: options.method ?? 'GET', headers, credentials: 'omit', cache: 'no-store' };
  if (options.signal) init.signal = options.signal;
  if (options.body !== undefined) {
    headers['Content-Type'] = 'application/json';
    init.body = JSON.stringify(options.body);
  }
  let answer: Response;
  try {
    answer = await fetcher(url, init);
  } catch {
    throw new HttpError(0, 'offline', undefined);
  }
  const body = answer.status === 204 ? undefined : await answer.json().catch(() => undefined);
  if (answer.ok) return body as T;
  throw new HttpError(answer.status, body?.code ?? 'error', retryAfter(answer.headers.get('Retry-After')));
}

/** Uploads one file. XMLHttpRequest, because fetch does not tell how far an upload is. */
export function upload(
  url: string,
  token: string,
  file: Blob,
  progress: (share: number) => void,
  signal: AbortSignal,
): Promise<Upload> {
  return new Promise((done, fail) => {
    const request = new XMLHttpRequest();
    request.open('POST', url);
    request.setRequestHeader('Authorization', `Bearer ${token}`);
    request.responseType = 'json';
    request.upload.onprogress = (event) => progress(event.total ? event.loaded / event.total : 0);
    request.onerror = () => fail(new HttpError(0, 'offline', undefined));
    request.onabort = () => fail(new HttpError(0, 'aborted', undefined));
    request.onload = () => {
      if (request.status === 201) done(request.response as Upload);
      else fail(new HttpError(request.status, request.response?.code ?? 'error', retryAfter(request.getResponseHeader('Retry-After'))));
    };
    signal.addEventListener('abort', () => request.abort());
    request.send(file);
  });
}
