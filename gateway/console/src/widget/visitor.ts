// Who we are to the server: an opaque token, made once and kept.
import type { Identity } from './frames';
import { call, HttpError, type Fetch } from './http';
import type { Store } from './store';

/** A token is renewed this long before its end. */
const RENEW_MS = 24 * 3600_000;

export interface UploadLimits {
  bytes_max: number;
  types: string[];
}

interface VisitorAnswer {
  token: string;
  visitor: string;
  verified: boolean;
  expires_at: string;
  greeting?: string;
  /** The shop's name for itself, shown as the title when the page gives none. */
  name?: string;
  uploads?: UploadLimits;
}

export class Visitor {
  readonly #store: Store;
  readonly #base: string;
  readonly #fetcher: Fetch;
  readonly #locale: string;
  readonly #changed: (before: VisitorAnswer | undefined, now: VisitorAnswer) => void;
  /** What the server said last; kept over reloads so that a page view costs no call until it is needed. */
  answer: VisitorAnswer | undefined;
  identity: Identity | undefined;
  #asked = false;

  constructor(
    store: Store,
    base: string,
    fetcher: Fetch,
    locale: string,
    changed: (before: VisitorAnswer | undefined, now: VisitorAnswer) => void,
  ) {
    this.#store = store;
    this.#base = base;
    this.#fetcher = fetcher;
    this.#locale = locale;
    this.#changed = changed;
    this.answer = store.get<VisitorAnswer>('visitor');
  }

  get known(): boolean {
    return this.answer !== undefined;
  }

  /** The next `token()` asks the server again, with the identity set meanwhile. */
  ask(): void {
    this.#asked = false;
  }

  /** A valid token. `fresh`: the last one was refused, so a new visitor is made if the server does not know it. */
  async token(fresh: boolean): Promise<string> {
    const expires = Date.parse(this.answer?.expires_at ?? '');
    const due = !this.#asked || fresh || expires - Date.now() < RENEW_MS;
    if (this.answer && !due) return this.answer.token;
    const before = this.answer;
    let answer: VisitorAnswer;
    try {
      answer = await this.#request(before?.token, this.identity);
    } catch (error) {
      // Only what was refused is thrown away; a server in trouble must not cost visitors their conversation.
      if (!(error instanceof HttpError && error.status === 401 && (before || this.identity))) throw error;
      // A refused identity (too old, say) must not end the chat; but it is not continued as a person who was proven before.
      const keep = this.identity && !before?.verified ? before?.token : undefined;
      this.identity = undefined;
      answer = await this.#request(keep, undefined);
    }
    // An identity proves once; renewals go by the token that came of it, since identities are short-lived.
    this.identity = undefined;
    this.#asked = true;
    this.answer = answer;
    this.#store.set('visitor', answer);
    this.#changed(before, answer);
    return answer.token;
  }

  /** Another tab has become somebody (else): be the same here. Says whether that is news. */
  adopt(): boolean {
    const stored = this.#store.get<VisitorAnswer>('visitor');
    if (!stored || stored.visitor === this.answer?.visitor) return false;
    const before = this.answer;
    this.answer = stored;
    this.#changed(before, stored);
    return true;
  }

  #request(token: string | undefined, identity: Identity | undefined): Promise<VisitorAnswer> {
    const body = { token, identity, locale: this.#locale };
    return call<VisitorAnswer>(this.#fetcher, `${this.#base}/visitor`, { method: 'POST', body });
  }
}
