// Shortcuts for the console's tests.
import type { BrowserContextOptions, Page } from 'playwright-core';
import { seed, TOKENS } from '../../fake/seed';
import type { Stored } from '../../fake/world';
import { Stage } from './harness';

/** A seeded server. */
export async function shop(): Promise<Stage> {
  const stage = await Stage.open();
  seed(stage.fake.world);
  return stage;
}

export async function signIn(stage: Stage, who: keyof typeof TOKENS = 'mei', options: BrowserContextOptions = {}): Promise<Page> {
  const page = await stage.page(`${stage.fake.origin}/console/`, { viewport: { width: 1440, height: 900 }, ...options });
  await page.locator('#token').fill(TOKENS[who]);
  await page.locator('#token').press('Enter');
  await page.locator('.rail').waitFor();
  return page;
}

export function story(stage: Stage, name: string): Stored {
  const found = [...stage.fake.world.conversations.values()].find((each) => each.contact.name === name);
  if (!found) throw new Error(`no conversation with ${name}`);
  return found;
}

/** A contact writes. */
export function inbound(stage: Stage, conversation: Stored, text: string): void {
  const { id, name } = conversation.contact;
  stage.fake.world.addMessage(conversation, { kind: 'contact', id, name }, [{ type: 'text', text }], { kind: 'message', direction: 'inbound' });
}

export async function openStory(page: Page, name: string): Promise<void> {
  await page.locator('.row', { hasText: name }).click();
  await page.locator('.thread .head h2', { hasText: name }).waitFor();
  await page.locator('.log[aria-busy=false]').waitFor();
}

export function words(conversation: Stored, kind: 'message' | 'note' = 'message'): string[] {
  return conversation.messages.filter((message) => message.kind === kind && message.from.kind === 'agent').map((message) => String(message.content[0]?.text));
}
