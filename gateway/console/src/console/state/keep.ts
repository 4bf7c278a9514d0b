// Small things kept in the browser. Storage may be blocked or full; the console then forgets, and works.

export function load<T>(key: string, area: () => Storage = () => localStorage): T | undefined {
  try {
    const text = area().getItem(`patchbay.${key}`);
    return text ? (JSON.parse(text) as T) : undefined;
  } catch {
    return undefined;
  }
}

export function keep(key: string, value: unknown, area: () => Storage = () => localStorage): void {
  try {
    if (value === undefined) area().removeItem(`patchbay.${key}`);
    else area().setItem(`patchbay.${key}`, JSON.stringify(value));
  } catch {
    // Not kept.
  }
}

/** Drafts kept at most; the oldest give way. */
const DRAFTS_MAX = 100;

interface Draft {
  text: string;
  at: number;
}

/** Texts begun and not sent, by conversation and mode, per agent. */
export class Drafts {
  private readonly drafts: Record<string, Draft>;

  constructor(private readonly agent: string) {
    this.drafts = load<Record<string, Draft>>(`drafts.${agent}`) ?? {};
  }

  get(conversation: string, mode: string): string {
    return this.drafts[`${conversation} ${mode}`]?.text ?? '';
  }

  set(conversation: string, mode: string, text: string): void {
    const key = `${conversation} ${mode}`;
    if (text) this.drafts[key] = { text, at: Date.now() };
    else delete this.drafts[key];
    const old = Object.entries(this.drafts).sort(([, a], [, b]) => b.at - a.at).slice(DRAFTS_MAX);
    for (const [name] of old) delete this.drafts[name];
    keep(`drafts.${this.agent}`, this.drafts);
  }
}
