// Shortcuts for the widget's tests: what a visitor does and sees, and what the shop answers.
import type { Page } from 'playwright-core';
import type { Agent } from '../../src/console/api/types';
import type { Stored, Visitor } from '../../fake/world';
import { until, type Stage } from './harness';

export const MEI: Agent = { id: 'a1', name: 'Mei', role: 'agent', capacity: 5, load: 0, presence: 'online', active: true, groups: [] };

export async function openChat(page: Page): Promise<void> {
  await page.locator('.launcher').click();
  await page.getByRole('dialog').waitFor();
}

export async function write(page: Page, text: string): Promise<void> {
  await page.getByRole('textbox').fill(text);
  await page.getByRole('textbox').press('Enter');
}

/** The texts in the log, as they stand there. */
export function shown(page: Page): Promise<string[]> {
  return page.locator('.message .bubble').allTextContents();
}

export async function theVisitor(stage: Stage): Promise<Visitor> {
  await until(() => stage.fake.world.visitors.size > 0);
  return [...stage.fake.world.visitors.values()].pop()!;
}

export function conversation(stage: Stage, visitor: Visitor): Stored {
  return stage.fake.world.conversationOf(visitor);
}

/** The shop answers, once everything the visitor has sent has got its number: so the order is known. */
export async function answer(stage: Stage, visitor: Visitor, text: string): Promise<void> {
  await until(() => received(visitor).length === visitor.accepted.size);
  stage.fake.world.reply(conversation(stage, visitor), MEI, [{ type: 'text', text }]);
  stage.fake.webchat.nudge();
}

/** What the server has of the visitor's own words, in order. */
export function received(visitor: Visitor): string[] {
  return visitor.log.filter((message) => message.from === 'visitor').map((message) => String(message.content[0]?.text));
}
