// The test that started us also owns the server: we ask for it to be killed and started, line by line.
import { createInterface } from 'node:readline';

const lines = createInterface({ input: process.stdin })[Symbol.asyncIterator]();

/** What the test that started us has to say. */
export function need(name: string): string {
  const value = process.env[name];
  if (!value) throw new Error(`${name} is not set`);
  return value;
}

/** Says `wish` and waits until it is granted. */
export async function ask(wish: 'kill' | 'start'): Promise<void> {
  console.log(wish);
  const { value } = await lines.next();
  if (value !== 'done') throw new Error(`asked to ${wish}, was told ${String(value)}`);
}

/** A visitor elsewhere, who only writes. */
export async function passerBy(server: string, name: string, locale: string, text: string): Promise<void> {
  const post = async (path: string, body: object, token?: string): Promise<Response> => {
    const headers = { 'Content-Type': 'application/json', ...(token ? { Authorization: `Bearer ${token}` } : {}) };
    const response = await fetch(`${server}/channels/web/${path}`, { method: 'POST', headers, body: JSON.stringify(body) });
    if (!response.ok) throw new Error(`${path}: ${response.status} ${await response.text()}`);
    return response;
  };
  const { token } = (await (await post('visitor', { name, locale })).json()) as { token: string };
  await post('messages', { type: 'message', client_id: '1', content: [{ type: 'text', text }] }, token);
}
